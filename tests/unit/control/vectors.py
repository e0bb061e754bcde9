"""
The test vectors of the grid functions: what the norms' formulas give, and how the functions here are asked for it.

Powers are in per unit where nothing else is said. The volt-var and frequency-droop rows were also reproduced with
OpenDER 2.2.0 in steady state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.characteristic import Curve, Droop
from gateway.control.functions import (
    frequency_droop,
    peak,
    power_factor,
    volt_var,
    volt_watt,
    watt_power_factor,
    watt_var,
)
from gateway.control.functions.curve import PRESETS
from gateway.control.functions.ramp import toward
from gateway.control.functions.response import lag
from gateway.control.functions.statement import Decide, Situation, Statement
from gateway.control.pq import PqCapability, within
from gateway.model import Activation, Band, Ramp

STEADY_S = 1e6
"""Long enough for every response to have settled."""
LATE_S = 1e4


@dataclass(frozen=True, slots=True)
class Vector:
    """One input of one row, what is expected of it, and to how many decimals the expectation is given."""

    number: int
    function: str
    norm: str
    symbol: str
    x: float
    output: str
    expected: float
    compute: Callable[[float], float]
    decimals: int = 4

    @property
    def id(self) -> str:
        return f"b8-{self.number:02}-{self.symbol}{self.x:g}-{self.output}"

    @property
    def computed(self) -> float:
        return self.compute(self.x)


def order(function: str = "", **fields: object) -> Activation:
    """An order in which only what the function looks at is of interest."""
    return Activation(id="a", revision=1, issuer="dso", issued=0.0, target="pcc", function=function, **fields)  # type: ignore[arg-type]


def site(**fields: object) -> Situation:
    """A target of 1 W and 1 VA, so that a power is its per unit."""
    base = Situation(rated_w=1.0, rated_va=1.0, reachable=Band(0.0, 1.0))
    return replace(base, **fields)  # type: ignore[arg-type]


def _by_curve(decide: Decide, curve: Curve, quantity: str, scale: float = 1.0) -> Callable[[float], float]:
    def compute(x: float) -> float:
        activation = order(curve=curve.points, response_s=curve.response_s)
        statement, _ = decide(activation, None, site(**{quantity: x / scale}), None)
        assert statement is not None
        assert statement.hi is not None
        return statement.hi

    return compute


def _by_frequency(droop: Droop, power: float, reachable: Band, nominal_hz: float = 50.0) -> Callable[[float], float]:
    """What is left of the power in the steady state, after the frequency has left the band."""

    def compute(frequency: float) -> float:
        situation = site(active_w=power, frequency_hz=frequency, reachable=reachable, nominal_hz=nominal_hz)
        _, memory = frequency_droop.decide(order(droop=droop), None, situation, None)
        settled = replace(situation, dt=STEADY_S)
        statement, _ = frequency_droop.decide(order(droop=droop), None, settled, memory)
        assert statement is not None
        return obeyed(power, statement)

    return compute


def obeyed(power: float, statement: Statement) -> float:
    """What a power that would stay as it is becomes under a statement."""
    raised = power if statement.lo is None else max(power, statement.lo)
    return raised if statement.hi is None else min(raised, statement.hi)


def _by_power_factor(power_factor_: float) -> float:
    statement, _ = power_factor.decide(order(), power_factor_, site(active_w=1.0), None)
    assert statement is not None
    assert statement.hi is not None
    return statement.hi


def _size_of_power_factor(name: str) -> Callable[[float], float]:
    points = PRESETS["watt_power_factor"][name].points
    return lambda p: abs(watt_power_factor.power_factor_at(points, p))


def _ramp_time(current: float, goal: float, per_s: float) -> float:
    """When the ramp has arrived, in s."""
    early, late = 0.0, LATE_S
    while late - early > 1e-6:
        middle = (early + late) / 2
        arrived = toward(current, goal, Ramp(per_s, per_s), middle) == goal
        early, late = (early, middle) if arrived else (middle, late)
    return late


def _tightest(limits: Sequence[float]) -> float:
    band = Band(0.0, 100.0)
    for limit in limits:
        band = band.narrow(hi=limit)
    return band.hi


def _remaining_mean(done_s: float) -> float:
    """After so long at 120 kW of a quarter of an hour that is limited to 100 kW."""
    activation = order("limit_import", mean_s=900.0)
    memory: object = None
    statement = None
    for second in range(int(done_s) + 1):
        now = site(active_w=-120e3, dt=1.0, wall=900.0 + second)
        statement, memory = peak.decide(activation, 100e3, now, memory)
    assert statement is not None
    assert statement.lo is not None
    return -statement.lo


Row = tuple[float, float]


def _rows(
    number: int,
    function: str,
    norm: str,
    symbols: tuple[str, str],
    rows: Sequence[Row],
    compute: Callable[[float], float],
) -> Iterator[Vector]:
    symbol, output = symbols
    for x, expected in rows:
        yield Vector(number, function, norm, symbol, x, output, expected, compute)


_ALL = Band(-1.0, 1.0)
_PV = Band(0.0, 1.0)
_LFSM_O = frequency_droop.PRESETS["lfsm-o"]
_LFSM_U = frequency_droop.PRESETS["lfsm-u"]
_IEEE_DROOP = frequency_droop.PRESETS["ieee1547-2018"]


def _volt_var(name: str, scale: float = 1.0) -> Callable[[float], float]:
    return _by_curve(volt_var.decide, PRESETS["volt_var"][name], "voltage", scale)


def _volt_watt(curve: Curve) -> Callable[[float], float]:
    return _by_curve(volt_watt.decide, curve, "voltage")


def _watt_var(name: str) -> Callable[[float], float]:
    return _by_curve(watt_var.decide, PRESETS["watt_var"][name], "active_w")


def _watt_power_factor(name: str) -> Callable[[float], float]:
    return _by_curve(watt_power_factor.decide, PRESETS["watt_power_factor"][name], "active_w")


def _zip(xs: str, ys: str) -> list[Row]:
    return list(zip(map(float, xs.split()), map(float, ys.split()), strict=True))


def _ieee() -> Iterator[Vector]:
    norm = "IEEE 1547-2018"
    yield from _rows(
        1,
        "volt_var",
        f"{norm} category B",
        ("V", "Q"),
        _zip(
            ".90 .92 .95 .97 .98 1.00 1.02 1.03 1.05 1.08 1.10",
            ".44 .44 .22 .0733 0 0 0 -.0733 -.22 -.44 -.44",
        ),
        _volt_var("ieee1547-2018-b"),
    )
    yield from _rows(
        2,
        "volt_var",
        f"{norm} category A",
        ("V", "Q"),
        _zip(".85 .90 .95 .99 1.0 1.04 1.05 1.10 1.15", ".25 .25 .125 .025 0 -.10 -.125 -.25 -.25"),
        _volt_var("ieee1547-2018-a"),
    )
    volt_watts = PRESETS["volt_watt"]
    yield from _rows(
        3,
        "volt_watt",
        f"{norm}, P2 = 0.2",
        ("V", "P"),
        _zip("1.05 1.06 1.07 1.08 1.09 1.10 1.12", "1 1 .8 .6 .4 .2 .2"),
        _volt_watt(volt_watts["ieee1547-2018-b"]),
    )
    yield from _rows(
        4,
        "volt_watt",
        f"{norm}, P2 = 0",
        ("V", "P"),
        _zip("1.07 1.08 1.09", ".75 .50 .25"),
        _volt_watt(volt_watts["ieee1547-2018-to-zero"]),
    )
    yield from _rows(
        5,
        "watt_var",
        f"{norm} category B",
        ("P", "Q"),
        _zip("0 .2 .5 .6 .75 .9 1", "0 0 0 -.088 -.22 -.352 -.44"),
        _watt_var("ieee1547-2018-b"),
    )
    yield from _rows(
        6,
        "watt_var",
        f"{norm} category A",
        ("P", "Q"),
        _zip(".5 .75 1", "0 -.125 -.25"),
        _watt_var("ieee1547-2018-a"),
    )
    yield from _rows(
        7,
        "frequency_droop",
        f"{norm}, 60 Hz, P 0.8",
        ("f", "P"),
        _zip("60.036 60.05 60.5 61 62.5", ".8 .7953 .6453 .4787 0"),
        _by_frequency(_IEEE_DROOP, 0.8, _PV, nominal_hz=60.0),
    )
    yield from _rows(
        8,
        "frequency_droop",
        f"{norm}, 60 Hz, P 0.5, available 0.7",
        ("f", "P"),
        _zip("59.964 59.9 59.5 59", ".5 .5213 .6547 .7"),
        _by_frequency(_IEEE_DROOP, 0.5, Band(0.0, 0.7), nominal_hz=60.0),
    )


def _european_frequency() -> Iterator[Vector]:
    for number, norm, droop, power, reachable, rows in (
        (
            9,
            "LFSM-O 50.2 Hz, 5 %, converter, P 0.8",
            _LFSM_O,
            0.8,
            _PV,
            _zip("50.2 50.3 50.5 51 51.5 52.7", ".8 .768 .704 .544 .384 0"),
        ),
        (
            10,
            "LFSM-O 50.2 Hz, 5 %, of rated, P 0.8",
            replace(_LFSM_O, reference="nominal"),
            0.8,
            _PV,
            _zip("50.3 50.5 51 51.5 52.2", ".76 .68 .48 .28 0"),
        ),
        (
            11,
            "LFSM-O 50.2 Hz, 2 %, P 1",
            replace(_LFSM_O, droop=0.02),
            1.0,
            _PV,
            _zip("50.3 50.7 51.2", ".9 .5 0"),
        ),
        (
            12,
            "LFSM-O 50.2 Hz, 12 %, P 1",
            replace(_LFSM_O, droop=0.12),
            1.0,
            _PV,
            _zip("50.3 51 51.5", ".9833 .8667 .7833"),
        ),
        (
            13,
            "LFSM-U 49.8 Hz, 5 %, P 0.5, available 0.9",
            _LFSM_U,
            0.5,
            Band(0.0, 0.9),
            _zip("49.9 49.8 49.7 49.5 49 48.5", ".5 .5 .54 .62 .82 .9"),
        ),
        (
            14,
            "LFSM-U 49.8 Hz, 5 %, storage charging, P -0.6",
            _LFSM_U,
            -0.6,
            _ALL,
            _zip("49.8 49.5 49 48.8 48.5", "-.6 -.48 -.28 -.2 -.08"),
        ),
    ):
        yield from _rows(number, "frequency_droop", norm, ("f", "P"), rows, _by_frequency(droop, power, reachable))


def _reactive() -> Iterator[Vector]:
    for x, expected in _zip(".80 .85 .90 .95 .98 .99 1", ".75 .619744 .484322 .328684 .203059 .142492 0"):
        yield Vector(
            15, "set_power_factor", "constant power factor, P 1", "pf", x, "Q", expected, _by_power_factor, decimals=6
        )
    norm = "cosφ(P) to 0.90, VDE-AR-N 4105"
    powers = ".5 .6 .75 .9 1"
    yield from _rows(
        16,
        "watt_power_factor",
        norm,
        ("P", "pf"),
        _zip(powers, "1 .98 .95 .92 .90"),
        _size_of_power_factor("vde-ar-n-4105"),
    )
    yield from _rows(
        16,
        "watt_power_factor",
        norm,
        ("P", "Q"),
        _zip(powers, "0 -.1218 -.2465 -.3834 -.4843"),
        _watt_power_factor("vde-ar-n-4105"),
    )
    yield from _rows(
        17,
        "watt_power_factor",
        "cosφ(P) to 0.95, VDE-AR-N 4105",
        ("P", "Q"),
        _zip(".6 .75 .9 1", "-.0855 -.1709 -.2625 -.3287"),
        _watt_power_factor("vde-ar-n-4105-to-4.6kva"),
    )
    yield from _rows(
        18,
        "volt_var",
        "Q(U) low voltage, cosφ 0.90, 230 V",
        ("U", "Q"),
        _zip("213.9 218.5 223.1 230 236.9 239.2 241.5 246.1", ".4359 .2179 0 0 0 -.109 -.2179 -.4359"),
        _volt_var("vde-ar-n-4105", scale=230.0),
    )
    yield from _rows(
        19,
        "volt_var",
        "Q(U), VDE-AR-N 4110",
        ("U", "Q"),
        _zip(".95 .96 .98 1 1.02 1.04 1.05", ".33 .33 .165 0 -.165 -.33 -.33"),
        _volt_var("vde-ar-n-4110"),
    )
    yield from _rows(
        20,
        "volt_var",
        "Q(Ulim), VDE-AR-N 4110",
        ("U", "Q"),
        _zip(".93 .95 .96 1 1.04 1.05 1.06", ".33 .165 0 0 0 -.165 -.33"),
        _volt_var("vde-ar-n-4110-limit"),
    )
    yield from _rows(
        21,
        "watt_var",
        "Q(P), VDE-AR-N 4110",
        ("P", "Q"),
        _zip(".4 .5 .55 .6 .75 .9 1", "0 0 -.025 -.05 -.19 -.33 -.33"),
        _watt_var("vde-ar-n-4110"),
    )
    yield from _rows(
        22,
        "volt_watt",
        "P(U) 108 to 112 %, an example",
        ("U", "P"),
        _zip("1.07 1.08 1.09 1.10 1.12", "1 1 .75 .5 0"),
        _volt_watt(PRESETS["volt_watt"]["vde-ar-n-4110"]),
    )


def _time_and_limits() -> Iterator[Vector]:
    for rate, seconds in _zip(".33 .5 .66", "121.2 80.0 60.6"):
        yield Vector(
            23,
            "ramp",
            "VDE-AR-N 4110 gradient in %/s, 100 to 60 %",
            "rate",
            rate,
            "s",
            seconds,
            lambda per_s: _ramp_time(100.0, 60.0, per_s),
            decimals=1,
        )
    norm = "VDE-AR-N 4110 grid-critical slope 10 %/min, 0 to 100 %"
    yield Vector(24, "ramp", norm, "goal", 100.0, "s", 600.0, lambda goal: _ramp_time(0.0, goal, 10.0 / 60.0))
    yield Vector(24, "ramp", norm, "t", 90.0, "P", 15.0, lambda t: toward(0.0, 100.0, Ramp(up=10.0 / 60.0), t))
    yield from _rows(
        25,
        "response",
        "IEEE 1547-2018, T90 5 s, a step of 1",
        ("t", "y"),
        _zip("1 2 5 10", ".3690 .6019 .9000 .9900"),
        lambda t: lag(0.0, 1.0, t, 5.0),
    )
    for number, norm, priority, active, expected in (
        (26, "IEEE 1547-2018, Q first, Q 0.44", "reactive", 0.95, (0.8980, 0.44)),
        (27, "IEEE 1547-2018, power factor kept, Q 0.44", "power_factor", 1.0, (0.9153, 0.4027)),
    ):
        for index, output in enumerate("PQ"):

            def compute(p: float, index: int = index, priority: str = priority) -> float:
                return within(PqCapability(1.0, 1.0), p, 0.44, priority)[index]  # type: ignore[arg-type]

            yield Vector(number, "priority", norm, "P", active, output, expected[index], compute)
    yield Vector(
        28,
        "limit_active_power",
        "the tightest of DSO 60 %, market 80 % and a relay",
        "P",
        30.0,
        "hi",
        30.0,
        lambda relay: _tightest((60.0, 80.0, relay)),
    )
    yield Vector(
        29, "limit_import", "mean of 15 min, 100 kW, so far 120 kW", "t", 600.0, "P", 60e3, _remaining_mean, decimals=1
    )


VECTORS: tuple[Vector, ...] = (*_ieee(), *_european_frequency(), *_reactive(), *_time_and_limits())
