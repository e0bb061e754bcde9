"""The verdicts of a step: does the device follow, how fast, and what does the meter see of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from gateway.commissioning.effect import Effect, Kind, Phase, classify, effect, folded, means, scale_of
from gateway.commissioning.plan import LEAST_SHARE
from gateway.commissioning.result import Result, Sample, Trace, Verdict

DEAD_SHARE, RISEN_SHARE = 0.1, 0.9
"""Of the way: where a response begins, and where it counts as done."""

FOLLOWS, METER, METER_SIGN = "follows its set-point", "seen by the PCC meter", "PCC meter has a sign"


@dataclass(frozen=True, slots=True)
class Record:
    """A step as it was measured; powers in W, times monotonic. `meter_id` None: there is no PCC meter to watch."""

    device_id: str
    meter_id: str | None
    rated_w: float
    limit: bool
    phases: Sequence[Phase]
    device: Sequence[Sample]
    meter: Sequence[Sample]

    @property
    def asked(self) -> Effect | None:
        """
        The effect that was asked for. Resting, a limited device gives what it can: that is what its limit is a step
        from, so that the sun's own movement is no fault of the device.
        """
        levels: list[float | None] = [phase.asked_w for phase in self.phases]
        if self.limit:
            resting = zip(self.phases, means(self.phases, self.device), strict=True)
            levels = [phase.asked_w if phase.stepped else level for phase, level in resting]
        return effect(self.phases, levels)

    @property
    def shown(self) -> Effect | None:
        """What the device says it did."""
        return effect(self.phases, means(self.phases, self.device))


def judge_device(record: Record) -> Result:
    """Whether the device's own measurement does what its set-point says."""
    asked, shown = record.asked, record.shown
    power = f"{record.device_id}.active_power"
    if asked is None or shown is None:
        return Result(record.device_id, FOLLOWS, Verdict.INCONCLUSIVE, "a whole step", "no value in it", f"see {power}")
    levels = means(record.phases, record.device)
    expected = f"{asked.mean_w:+.0f} W"
    measured = f"{shown.mean_w:+.0f} W"
    values = {"asked_w": asked.mean_w, "measured_w": shown.mean_w, "noise_w": shown.noise_w}
    if record.limit and asked.mean_w > -LEAST_SHARE * record.rated_w / 2:
        reason = "what it can give fell below the limit meanwhile: too little sun, repeat when it is steadier"
        return Result(record.device_id, FOLLOWS, Verdict.INCONCLUSIVE, expected, measured, reason, values)
    values |= response(record)
    kind, factor = classify(shown, asked.mean_w)
    if not record.limit and kind is not Kind.SAME and _mirrored(record, levels):
        advice = f"{power} has no sign: take the signed register of the device"
        return Result(record.device_id, FOLLOWS, Verdict.FAIL, expected, measured, advice, values)
    settled = all(phase.settled for phase in record.phases if phase.stepped)
    slow = "" if settled else ", and whether a ramp in the device makes it slow"
    verdict, advice = {
        Kind.SAME: (Verdict.PASS, "" if settled else "slower than it is waited for, or not steady"),
        Kind.NOISY: (
            Verdict.INCONCLUSIVE,
            f"its power moves by {shown.noise_w:.0f} W of its own; repeat when steadier",
        ),
        Kind.OPPOSITE: (Verdict.FAIL, f"goes the other way: set scale: -1 on {power} or on the set-point, not on both"),
        Kind.NOTHING: (
            Verdict.FAIL,
            "does not follow: is remote control enabled in the device, and the register right?",
        ),
        Kind.SCALED: (Verdict.FAIL, f"{_scaled(power, factor)}; or the set-point's scale, or rated_power, is wrong"),
    }.get(
        kind,
        (Verdict.FAIL, f"moves by {factor:.0%} of what is asked: check rated_power and the set-point's scale{slow}"),
    )
    return Result(record.device_id, FOLLOWS, verdict, expected, measured, advice, values | {"factor": factor})


def judge_meter(record: Record, device: Result) -> Result:
    """Whether the meter at the PCC moved by as much, in the same direction; *device* is how the device was judged."""
    if record.meter_id is None:
        return Result(
            record.device_id, METER, Verdict.NOT_RUN, measured="there is no meter to watch", advice="set control.pcc"
        )
    # A device whose own measurement is wrong may still follow: then what was asked is the best there is to compare.
    reference = record.shown if device.verdict is Verdict.PASS else record.asked
    causes = means(record.phases, record.device)
    levels = means(record.phases, record.meter)
    seen = effect(record.phases, levels)
    power = f"{record.meter_id}.active_power"
    if reference is None or abs(reference.mean_w) < LEAST_SHARE * record.rated_w / 2:
        return Result(record.device_id, METER, Verdict.INCONCLUSIVE, "a step to be seen", "there was none")
    if seen is None:
        missing = f"{power} cannot be read"
        return Result(record.device_id, METER, Verdict.FAIL, "a value in each phase", "none", missing)
    expected, measured = f"{reference.mean_w:+.0f} W", f"{seen.mean_w:+.0f} W"
    kind, factor = classify(seen, reference.mean_w)
    values = {"expected_w": reference.mean_w, "measured_w": seen.mean_w, "noise_w": seen.noise_w, "factor": factor}
    positive = min(level for level in levels if level is not None) >= 0
    if folded(causes, levels):
        verdict, advice = Verdict.FAIL, f"unsigned: {power} turns back at zero; take the meter's signed register"
    elif kind is Kind.NOTHING and device.verdict is not Verdict.PASS:
        verdict, advice = Verdict.INCONCLUSIVE, "nor did the device move by its own measurement"
    else:
        verdict, advice = _of_meter(kind, factor, seen, power, positive=positive)
    return Result(record.device_id, METER, verdict, expected, measured, advice, values)


def judge_sign(meter_id: str, results: Sequence[Result], readings_w: Sequence[float]) -> Result | None:
    """
    Over the steps of all devices: a meter that counts the right way in one, the other way in another, and is never
    below zero has no sign. None where that was already told, or no step says anything.
    """
    factors = [result.values["factor"] for result in results if result.test == METER and "factor" in result.values]
    if not factors or not readings_w:
        return None
    seen = f"{min(readings_w):.0f} to {max(readings_w):.0f} W"
    expected = "the same sign in all steps"
    if min(readings_w) >= 0 and min(factors) < -0.5 and max(factors) > 0.5:
        advice = f"unsigned: {meter_id}.active_power counts both ways upwards; take the meter's signed register"
        return Result(meter_id, METER_SIGN, Verdict.FAIL, expected, seen, advice)
    if all(factor > 0.5 for factor in factors) and min(readings_w) < 0:
        return Result(meter_id, METER_SIGN, Verdict.PASS, expected, seen)
    if all(factor > 0.5 for factor in factors):
        advice = "only the exporting side was seen, where a meter without a sign looks the same"
        return Result(meter_id, METER_SIGN, Verdict.INCONCLUSIVE, expected, seen, advice)
    return None


def response(record: Record) -> dict[str, float]:
    """Dead time and T90 in s from the write on, the middle of all repetitions; as fine as the device is polled."""
    dead: list[float] = []
    risen: list[float] = []
    levels = means(record.phases, record.device)
    for i in range(1, len(record.phases)):
        phase, start, end = record.phases[i], levels[i - 1], levels[i]
        if not phase.stepped or start is None or end is None or start == end:
            continue
        way = [
            (sample.mono - phase.written, (sample.value - start) / (end - start))
            for sample in record.device
            if phase.written <= sample.mono <= phase.until
        ]
        dead += [next((after for after, done in way if done >= DEAD_SHARE), float("inf"))]
        risen += [next((after for after, done in way if done >= RISEN_SHARE), float("inf"))]
    found = {"dead_time_s": median(dead), "t90_s": median(risen)} if dead else {}
    return {name: value for name, value in found.items() if value != float("inf")}


def _mirrored(record: Record, levels: Sequence[float | None]) -> bool:
    """Below zero asked for, above it measured, and as much."""
    pairs = [(p.asked_w, level) for p, level in zip(record.phases, levels, strict=True) if level is not None]
    below = [(asked, level) for asked, level in pairs if asked < 0]
    if not below or any(level < 0 for _, level in pairs):
        return False
    asked, level = fmean(asked for asked, _ in below), fmean(level for _, level in below)
    return abs(level + asked) < -asked / 2


def _of_meter(kind: Kind, factor: float, seen: Effect, power: str, *, positive: bool) -> tuple[Verdict, str]:
    other_way = f"the meter counts the other way: set scale: -1 on {power}"
    ct = "of the meter's three current transformers"
    return {
        Kind.SAME: (Verdict.PASS, ""),
        Kind.NOISY: (
            Verdict.INCONCLUSIVE,
            f"the load moved by {seen.noise_w:.0f} W meanwhile; repeat when it is quieter",
        ),
        Kind.OPPOSITE: (
            Verdict.FAIL,
            other_way
            + (" (or it is unsigned and the site imports: does it ever show less than 0?)" if positive else ""),
        ),
        Kind.NOTHING: (
            Verdict.FAIL,
            "the meter does not see this device: is it at the connection point, and the device behind it?",
        ),
        Kind.SCALED: (Verdict.FAIL, _scaled(power, factor)),
        Kind.ONE_TURNED: (Verdict.FAIL, f"a third is seen: one {ct} is turned round, or on another phase"),
        Kind.ONE_MISSING: (Verdict.FAIL, f"two thirds are seen: one {ct} is missing"),
        Kind.TWO_TURNED: (Verdict.FAIL, f"a third is seen, the other way: two {ct} are turned round"),
    }.get(
        kind,
        (Verdict.FAIL, f"the meter shows {factor:.2f} of the step: check the ratio of its current transformers"),
    )


def _scaled(power: str, factor: float) -> str:
    scale = scale_of(factor) or 1.0
    return f"shows {scale:g} of the step: multiply the scale of {power} by {1 / scale:g}"


def trace(record: Record) -> Trace:
    """The step as it is drawn."""
    if not record.phases:
        return Trace()
    start = record.phases[0].since
    asked = [
        Sample(mono - start, phase.asked_w)
        for phase in record.phases
        for mono in (max(phase.written, start), phase.until)
    ]
    return Trace(asked, _shifted(record.device, start), _shifted(record.meter, start))


def _shifted(series: Sequence[Sample], start: float) -> list[Sample]:
    return [Sample(mono - start, value) for mono, value in series if mono >= start]
