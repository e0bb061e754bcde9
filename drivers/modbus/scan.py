"""
Which units answer on one Modbus connection, and what they are. A survey is pure; `run` does its I/O.

A scan is a guest on a line that serves others: it only reads, keeps one connection with one request in flight, and
leaves a pause after each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from drivers.base import ConnectionLost
from drivers.config import Role
from drivers.modbus import codec, pdu, sunspec
from drivers.modbus.endpoint import Network, SerialLine
from drivers.modbus.link import Pace
from drivers.modbus.pdu import NoAnswerError, RefusalError, Request
from drivers.modbus.rtu import silence_s
from drivers.modbus.sunspec_fields import text_of
from drivers.modbus.sunspec_walk import BASES, Ask, MapError, walk

LIKELY = (1, 2, 3, 71, 100, 126, 200, 201, 202, 203, 240, 247)
"""Asked first, being settings from the factory: SMA 3 and 126, Kostal 71, Victron 100, Fronius' meters 200 to 240."""
PAUSE_S = 0.05
"""After each request, so that whoever else is served on the line has its turn."""
SETTLE_S = 1.0
"""After connecting: some gateways take the connection at once and drop what comes in their first second."""
LOSSES_MAX = 3
"""Connections that end in a row without an answer; after that, going on is knocking at a closed door."""
SILENT_MAX = 5
"""Requests that a unit leaves unanswered before it is left alone: each costs the line a time-out."""
SAME_MIN = 4
"""Likely units that all answer as one and the same device: real ones never stand at that many of these at once."""

_BATTERIES = frozenset({124, 713, *range(801, 810)})
_INVERTERS = frozenset({101, 102, 103, 111, 112, 113, *range(701, 713)})
_METERS = frozenset({*range(201, 205), *range(211, 215)})
_MARK = b"SunS"
_IDENTITY = (slice(4, 36), slice(36, 68), slice(100, 132))
"""Manufacturer, model and serial number in model 1, in bytes from its ID on."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refused:
    """The exception code that was answered."""

    code: int


Answer = bytes | Refused | None
"""The data of an answer, or None for none in time."""


@dataclass(frozen=True, slots=True)
class Check:
    """A register whose value must be a number within [low, high]."""

    register: codec.Register
    low: float
    high: float

    def fits(self, answer: Answer) -> bool:
        if not isinstance(answer, bytes):
            return False
        (value,) = codec.decoder([self.register], self.register.address)(answer)
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Signature:
    """
    What tells a device of a profile from others: every check fits, and there is one at least.

    `on_sunspec`: the profile adds to what a SunSpec device says of itself, and fits no other.
    """

    profile: str
    vendor: str
    model: str
    role: Role
    checks: tuple[Check, ...]
    on_sunspec: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """
    What answered as one unit.

    `profile` is what a site file can name for it, None when its points are not known; `others` are further profiles
    that fit, with no more checks. `models` are its SunSpec models; `note` says why these cannot be read.
    """

    unit: int
    profile: str | None = None
    role: Role | None = None
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    models: tuple[int, ...] = ()
    rated_power_w: float | None = None
    others: tuple[str, ...] = ()
    note: str = ""


@dataclass(slots=True)
class Survey:
    """
    A scan under way: what it has asked, and what it has found so far.

    Attributes:
        at: The unit that is asked now.
        asked: Units done with.
        found: In the order in which they were asked.
        gateway: Whether a gateway said that it reaches no unit of some number.
        any_unit: Whether the device answers to every unit id as the same one; the rest was then not asked.
        late: Whether answers came after their time-out, so that units may have been missed.
    """

    units: Sequence[int]
    signatures: Sequence[Signature] = ()
    at: int = 0
    asked: int = 0
    found: list[Device] = field(default_factory=list)
    gateway: bool = False
    any_unit: bool = False
    late: bool = False

    def steps(self) -> Generator[Request, Answer, None]:
        """Yields what to ask, and is sent each answer."""
        likely = [unit for unit in LIKELY if unit in self.units]
        for unit in likely:
            yield from self._examine(unit)
        if len(likely) >= SAME_MIN and len(self.found) == len(likely) and _all_the_same(self.found):
            self.any_unit = True
            del self.found[1:]
            return
        for unit in sorted({*self.units} - {*likely}):
            yield from self._examine(unit)

    def _examine(self, unit: int) -> Generator[Request, Answer, None]:
        self.at = unit
        first = pdu.read(unit, "holding", BASES[0], 2)
        answer = yield first
        if isinstance(answer, Refused) and answer.code in pdu.UNREACHABLE:
            self.gateway = True
        elif answer is not None:
            self.found.append((yield from identify(unit, {first: answer}, self.signatures)))
        self.asked += 1


def identify(
    unit: int, known: Mapping[Request, Answer], signatures: Sequence[Signature]
) -> Generator[Request, Answer, Device]:
    """What a unit is, which answered; `known` is what it has been asked already, and is not asked again."""
    answers = dict(known)
    device = yield from _sunspec(unit, answers)
    candidates = [each for each in signatures if each.on_sunspec == (device.profile is not None)]
    fitting = yield from _fitting(unit, answers, candidates)
    if not fitting:
        return device
    first, *others = sorted(fitting, key=lambda each: len(each.checks), reverse=True)
    return replace(
        device,
        profile=first.profile,
        role=first.role,
        manufacturer=device.manufacturer or first.vendor,
        model=device.model or first.model,
        others=tuple(other.profile for other in others),
    )


def _ask(request: Request, answers: dict[Request, Answer]) -> Generator[Request, Answer, Answer]:
    if request not in answers:
        silent = sum(answer is None for answer in answers.values())
        answers[request] = (yield request) if silent < SILENT_MAX else None
    return answers[request]


def _fed(
    steps: Generator[Ask, bytes | None, T], unit: int, answers: dict[Request, Answer]
) -> Generator[Request, Answer, T]:
    """SunSpec's steps, which know neither units nor what was asked already."""
    data: bytes | None = None
    try:
        while True:
            address, count = steps.send(data)
            answer = yield from _ask(pdu.read(unit, "holding", address, count), answers)
            data = answer if isinstance(answer, bytes) else None
    except StopIteration as done:
        result: T = done.value
        return result


def _sunspec(unit: int, answers: dict[Request, Answer]) -> Generator[Request, Answer, Device]:
    device = Device(unit=unit)
    try:
        chain = yield from _fed(walk(), unit, answers)
    except MapError as error:
        return replace(device, note=str(error) if _MARK in answers.values() else "")
    models = tuple(model.id for model in chain)
    common = next((model for model in chain if model.id == 1), None)
    if common is not None:
        count = min(common.registers, pdu.MAX_READ_REGISTERS)
        data = yield from _ask(pdu.read(unit, "holding", common.address, count), answers)
        if isinstance(data, bytes):
            manufacturer, model, serial = (_printable(text_of(data[at])) for at in _IDENTITY)
            device = replace(device, manufacturer=manufacturer, model=model, serial=serial)
    device = replace(device, models=models, role=_role(models))
    try:
        found = yield from _fed(sunspec.discover("scan", meter=False, max_age=1.0), unit, answers)
    except MapError as error:
        return replace(device, note=str(error))
    return replace(device, profile="sunspec", rated_power_w=found.nameplate.rated_power_w)


def _role(models: Iterable[int]) -> Role | None:
    """A guess: what stores is a battery, what converts is PV; both may have a meter's model as well."""
    present = frozenset(models)
    if present & _BATTERIES:
        return "battery"
    if present & _INVERTERS:
        return "pv"
    return "meter" if present & _METERS else None


def _fitting(
    unit: int, answers: dict[Request, Answer], signatures: Sequence[Signature]
) -> Generator[Request, Answer, list[Signature]]:
    fitting = []
    for signature in signatures:
        for check in signature.checks:
            register = check.register
            request = pdu.read(unit, register.space, register.address, register.size)
            if not check.fits((yield from _ask(request, answers))):
                break
        else:
            fitting.append(signature)
    return fitting


def _all_the_same(devices: Sequence[Device]) -> bool:
    return len({replace(device, unit=0) for device in devices}) == 1


def _printable(text: str) -> str:
    """A device's text without what would steer a terminal or end a comment."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class Line(Protocol):
    """What a scan needs of a connection; drivers.modbus.link.Link is one, and says what `unanswered` is."""

    unanswered: int

    def request(self, request: Request, timeout_s: float) -> Awaitable[bytes]: ...

    def close(self, reason: str) -> None: ...

    async def ended(self) -> str: ...


def pace(line: Network | SerialLine, timeout_s: float) -> Pace:
    """The pauses of a scan, for the connection to keep."""
    silent_s = silence_s(line) if isinstance(line, SerialLine) else 0.0
    return Pace(pause_after_connect_s=SETTLE_S, gap_s=PAUSE_S + silent_s, quiet_s=timeout_s)


async def run(
    survey: Survey, opened: Callable[[], Awaitable[Line]], timeout_s: float, progress: Callable[[], None]
) -> None:
    """
    Carry out a survey over one connection at a time, as `opened` gives it; `progress` is called before each request.

    A request at which a connection ends counts as not answered, and is not repeated.

    Raises:
        ConnectionLost: Nobody took the connection, or it ended again and again; what was found stands in the survey.
    """
    steps = survey.steps()
    request = _following(steps, None)
    losses = 0
    while request is not None:
        line = await opened()
        try:
            while request is not None:
                progress()
                unanswered = line.unanswered
                answer = await _answer(line, request, timeout_s)
                if answer is not None:
                    losses = 0
                elif 0 < line.unanswered <= unanswered:  # something came between two time-outs
                    survey.late = True
                request = _following(steps, answer)
        except ConnectionLost:
            losses += 1
            if losses == LOSSES_MAX:
                raise
            request = _following(steps, None)
        finally:
            line.close("closed by dergate scan")
            await line.ended()


async def _answer(line: Line, request: Request, timeout_s: float) -> Answer:
    try:
        return await line.request(request, timeout_s)
    except RefusalError as error:
        return Refused(error.code)
    except NoAnswerError:
        return None


def _following(steps: Generator[Request, Answer, None], answer: Answer) -> Request | None:
    """The next request of a survey; None at its end. The first answer of a generator is None."""
    try:
        return steps.send(answer)
    except StopIteration:
        return None
