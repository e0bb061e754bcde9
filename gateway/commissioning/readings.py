"""The reading tests: does a device answer, and do its values make sense together. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from gateway.commissioning.result import Device, Result, Sample, Verdict
from gateway.image import KNOWN, Reading
from gateway.model import Point

FREQUENCY_HZ = (45.0, 65.0)
"""What a grid of 50 or 60 Hz can be at all; outside, it is another register or scale."""
VOLTAGE_SHARE = 0.2
"""Of the nominal: twice what EN 50160 lets it be away; a phase-to-phase voltage taken for a phase's is 73 % away."""
POWER_SHARE_MAX = 1.2
"""Of the rated power: an inverter gives no more for long."""
CONSUMING_SHARE_MAX = 0.02
"""Of the rated power: what PV takes for itself; more is a wrong sign."""
MATCH_SHARE = 0.1
"""How far values may lie apart that say the same: the meter's class, and that they were not read at one moment."""
LEAST_SHARE = 0.05
"""Of the rated power: with less, currents are too small to be compared."""
PHASES = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Seen:
    """
    One device as it was read for a while.

    `series` holds the numbers by point name, `readings` the last of each point by its name, `mono` is now;
    `nominal_v` is between the phases.
    """

    device: Device
    points: Sequence[Point]
    readings: Mapping[str, Reading]
    series: Mapping[str, Sequence[Sample]]
    mono: float
    nominal_v: float

    def value(self, name: str) -> float | None:
        """The middle of what was read of a point; None when it was never a number."""
        values = [sample.value for sample in self.series.get(name, ())]
        return median(values) if values else None

    def phases(self, name: str) -> tuple[float, float, float] | None:
        """A quantity of all three phases, where all are there."""
        values = [self.value(f"{name}_l{phase}") for phase in PHASES]
        first, second, third = values
        return None if first is None or second is None or third is None else (first, second, third)

    def result(self, test: str, good: bool, expected: str, measured: str, advice: str = "") -> Result:
        verdict = Verdict.PASS if good else Verdict.FAIL
        return Result(self.device.id, test, verdict, expected, measured, "" if good else advice)


def reading_tests(seen: Seen) -> list[Result]:
    """All that can be said of a device by reading it; what its points or too little power do not allow is left out."""
    answers = _answers(seen)
    if answers.verdict is Verdict.FAIL:
        return [answers]
    tests: Sequence[Callable[[Seen], Result | None]] = (
        _fresh,
        _frequency,
        _voltages,
        _power,
        _sources,
        _apparent,
        _phase_powers,
        _power_factor,
    )
    return [answers] + [result for test in tests for result in [test(seen)] if result is not None]


def _answers(seen: Seen) -> Result:
    known = [name for name, reading in seen.readings.items() if reading.quality in KNOWN]
    count = sum(point.readable for point in seen.points)
    measured = f"{len(known)} of {count} points"
    advice = "no answer: check address, unit id, cable and power"
    return seen.result("answers", bool(known), "its points", measured if count else "nothing", advice)


def _fresh(seen: Seen) -> Result:
    """Each point was read, and no older than its deadline; a point the device refuses is told apart."""
    late: list[str] = []
    refused: list[str] = []
    worst = 0.0
    for point in seen.points:
        if not point.readable:
            continue
        reading = seen.readings.get(point.name)
        if reading is not None and reading.quality in KNOWN:
            age = seen.mono - reading.mono
            worst = max(worst, age)
            late += [point.name] if age > point.max_age else []
        elif reading is not None and reading.quality.value == "invalid":
            refused.append(point.name)
        else:
            late.append(point.name)
    expected, measured = "each point within its deadline", f"oldest {worst:.1f} s"
    values = {"oldest_s": worst}
    if late:
        advice = f"too old or never read: {', '.join(late)}; poll slower, or give the line fewer points"
        return Result(seen.device.id, "values are fresh", Verdict.FAIL, expected, measured, advice, values)
    if refused:  # as a counter says that has not counted yet
        measured += f"; not valid, says the device: {', '.join(refused)}"
    return Result(seen.device.id, "values are fresh", Verdict.PASS, expected, measured, values=values)


def _frequency(seen: Seen) -> Result | None:
    value = seen.value("frequency")
    if value is None:
        return None
    low, high = FREQUENCY_HZ
    advice = "check register, type and scale of frequency"
    return seen.result("frequency", low <= value <= high, f"{low:g} to {high:g} Hz", f"{value:.2f} Hz", advice)


def _voltages(seen: Seen) -> Result | None:
    phase_v = seen.nominal_v / math.sqrt(3)
    nominal = {f"voltage_l{phase}": phase_v for phase in PHASES}
    nominal |= dict.fromkeys(("voltage_l12", "voltage_l23", "voltage_l31"), seen.nominal_v)
    found = {name: value for name in nominal for value in [seen.value(name)] if value is not None}
    if not found:
        return None
    wrong = [name for name, value in found.items() if abs(value / nominal[name] - 1) > VOLTAGE_SHARE]
    expected = " / ".join(f"{volts:.0f}" for volts in dict.fromkeys(nominal[name] for name in found))
    measured = ", ".join(f"{value:.1f}" for value in found.values())
    advice = f"check {', '.join(wrong)}: register, word order and scale; another grid: --nominal-voltage"
    return seen.result("voltage", not wrong, f"{expected} V ±{VOLTAGE_SHARE:.0%}", f"{measured} V", advice)


def _power(seen: Seen) -> Result | None:
    value, rated = seen.value("active_power"), seen.device.rated_w
    if value is None or not rated:
        return None
    most = POWER_SHARE_MAX * rated
    advice = "check scale and word order of active_power, and rated_power"
    return seen.result("active power", abs(value) <= most, f"up to ±{most:.0f} W", f"{value:.0f} W", advice)


def _sources(seen: Seen) -> Result | None:
    value, rated = seen.value("active_power"), seen.device.rated_w
    if value is None or not rated or seen.device.role != "pv":
        return None
    least = -CONSUMING_SHARE_MAX * rated
    advice = "PV that consumes: set scale: -1 on active_power"
    return seen.result("PV gives power", value >= least, f"over {least:.0f} W", f"{value:.0f} W", advice)


def _apparent(seen: Seen) -> Result | None:
    """Three voltages times their currents are the apparent power."""
    voltages, currents = seen.phases("voltage"), seen.phases("current")
    active, reactive = seen.value("active_power"), seen.value("reactive_power")
    if voltages is None or currents is None or active is None:
        return None
    sum_va = sum(abs(v * i) for v, i in zip(voltages, currents, strict=True))
    if sum_va < LEAST_SHARE * (seen.device.rated_w or 0.0) or sum_va == 0:
        return None
    power_va = abs(active) if reactive is None else math.hypot(active, reactive)
    too_much = power_va > (1 + MATCH_SHARE) * sum_va
    too_little = reactive is not None and power_va < (1 - MATCH_SHARE) * sum_va  # P alone may be smaller
    advice = "check the scales of power, current and voltage, and that all CTs are on their own phase"
    good = not too_much and not too_little
    return seen.result("P matches V·I", good, f"{sum_va:.0f} VA ±{MATCH_SHARE:.0%}", f"{power_va:.0f} VA", advice)


def _phase_powers(seen: Seen) -> Result | None:
    """The powers of the phases add up, and a phase against the others shows as its CT turned round."""
    phases, total = seen.phases("active_power"), seen.value("active_power")
    if phases is None or total is None:
        return None
    size = sum(map(abs, phases))
    measured = f"{', '.join(f'{power:.0f}' for power in phases)} W"
    test, expected = "phases add up to P", f"{total:.0f} W"
    if size < LEAST_SHARE * (seen.device.rated_w or 0.0):
        return None
    if abs(sum(phases) - total) > MATCH_SHARE * size:
        return seen.result(test, False, expected, measured, "check register, sign and scale of each phase's power")
    minor = min(sum(p for p in phases if p > 0), -sum(p for p in phases if p < 0))
    if minor > MATCH_SHARE * size:
        advice = "one phase goes against the others: a CT turned round, or an unbalanced load?"
        return Result(seen.device.id, test, Verdict.INCONCLUSIVE, expected, measured, advice)
    return seen.result(test, True, expected, measured)


def _power_factor(seen: Seen) -> Result | None:
    """
    Its size is P / S; a negative one needs a P or a Q below zero. Which of the two its sign follows is the vendor's
    choice (IEC: that of P; IEEE: that of Q).
    """
    factor, active = seen.value("power_factor"), seen.value("active_power")
    reactive, rated = seen.value("reactive_power"), seen.device.rated_w
    if factor is None or active is None or reactive is None:
        return None
    apparent = math.hypot(active, reactive)
    if apparent < LEAST_SHARE * (rated or 0.0) or apparent == 0:
        return None
    share = abs(active) / apparent
    matches = abs(abs(factor) - share) <= MATCH_SHARE
    signed = factor >= 0 or active < 0 or reactive < 0
    measured = f"{factor:.2f} with P {active:.0f} W, Q {reactive:.0f} var"
    advice = "check sign and scale of reactive_power and power_factor"
    return seen.result("Q matches the power factor", matches and signed, f"±{share:.2f}", measured, advice)
