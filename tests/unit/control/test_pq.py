"""Active and reactive power together: what a device can give, and what gives way when it cannot."""

from __future__ import annotations

from math import hypot, inf
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.control.pq import (
    CIRCLE,
    Corner,
    PqCapability,
    Priority,
    active_band,
    d_shape,
    reactive_band,
    within,
)
from gateway.model import Band

UNIT = PqCapability(1.0, 1.0)
D_SHAPE = PqCapability(1.0, 1.0, d_shape(0.44))
MEDIUM_VOLTAGE = PqCapability(1.0, 1.1, ((0.1, -0.1, 0.1), (0.2, -0.33, 0.33), (1.0, -0.33, 0.33)))
"""A larger converter in the area of VDE-AR-N 4110: little Q from 10 % of P on, all of it from 20 %."""
LEANING = PqCapability(1.0, 1.0, ((0.0, -0.2, 0.5), (0.8, -0.4, 0.5), (1.0, -0.4, 0.1)))
ASLEEP = PqCapability(1.0, 1.0, d_shape(0.44), q_at_night=False)

priorities = st.sampled_from(get_args(Priority))


@st.composite
def shapes(draw: st.DrawFn) -> tuple[Corner, ...]:
    """Corners with one peak on either side; also those that the circle cuts everywhere."""
    powers = sorted(draw(st.sets(st.integers(-10, 10), min_size=1, max_size=5)))

    def edge() -> list[float]:
        heights = sorted(draw(st.lists(st.integers(0, 12), min_size=len(powers), max_size=len(powers))))
        rising = draw(st.integers(1, len(heights)))
        return [h / 10 for h in heights[:rising]] + sorted(
            (min(h, heights[rising - 1]) / 10 for h in heights[rising:]), reverse=True
        )

    return tuple((p / 10, -lo, hi) for p, lo, hi in zip(powers, edge(), edge(), strict=True))


@st.composite
def capabilities(draw: st.DrawFn) -> PqCapability:
    rated_w = draw(st.sampled_from([1.0, 900.0, 1e6]))
    shape = draw(st.just(CIRCLE) | st.just(d_shape(0.44)) | shapes())
    return PqCapability(rated_w, rated_w * draw(st.sampled_from([0.8, 1.0, 1.1])), shape, draw(st.booleans()))


shares = st.floats(-1.5, 1.5) | st.sampled_from([-1.0, 0.0, 0.01, 0.1, 0.44, 1.0])


def is_inside(capability: PqCapability, p: float, q: float) -> bool:
    band = reactive_band(capability, p)
    return capability.active.lo <= p <= capability.active.hi and band.lo <= q <= band.hi


@pytest.mark.parametrize(
    ("capability", "asked", "priority", "given_"),
    [
        pytest.param(UNIT, (0.95, 0.44), "reactive", (0.8980, 0.44), id="reactive-keeps-q"),
        pytest.param(UNIT, (1.0, 0.44), "power_factor", (0.9153, 0.4027), id="power-factor-scales-both"),
        pytest.param(UNIT, (0.95, 0.44), "active", (0.95, 0.3122), id="active-keeps-p"),
        pytest.param(UNIT, (-0.95, -0.44), "reactive", (-0.8980, -0.44), id="a-battery-charges-less-for-q"),
        pytest.param(UNIT, (0.3, 2.0), "reactive", (0.0, 1.0), id="q-beyond-the-circle-takes-all-of-p"),
        pytest.param(D_SHAPE, (0.95, 0.9), "reactive", (0.8980, 0.44), id="d-shape-cuts-q-before-p"),
        pytest.param(D_SHAPE, (0.5, 0.88), "power_factor", (0.25, 0.44), id="d-shape-bounds-the-ratio-too"),
        pytest.param(D_SHAPE, (-0.5, 0.2), "active", (0.0, 0.2), id="d-shape-takes-no-active-power"),
        pytest.param(D_SHAPE, (0.0, 0.9), "power_factor", (0.0, 0.44), id="q-at-night"),
        pytest.param(ASLEEP, (0.0, 0.3), "reactive", (0.0, 0.0), id="no-q-at-night"),
        pytest.param(ASLEEP, (0.5, 0.3), "reactive", (0.5, 0.3), id="no-q-at-night-but-by-day"),
        pytest.param(MEDIUM_VOLTAGE, (0.05, 0.05), "reactive", (0.05, 0.0), id="none-below-the-first-corner"),
        pytest.param(MEDIUM_VOLTAGE, (0.15, 0.33), "reactive", (0.15, 0.2365), id="p-is-not-raised-for-q"),
        pytest.param(MEDIUM_VOLTAGE, (1.0, 0.5), "reactive", (1.0, 0.363), id="room-for-both"),
        pytest.param(LEANING, (1.0, 0.4), "reactive", (0.85, 0.4), id="less-p-gives-room-for-q"),
        pytest.param(LEANING, (1.0, -0.4), "reactive", (0.9165, -0.4), id="the-sides-of-q-differ"),
        pytest.param(PqCapability(0.8, 1.0), (1.0, 0.75), "power_factor", (0.8, 0.6), id="the-rated-power-bounds-p"),
    ],
)
def test_beyond_its_capability_a_device_gives_the_nearest_by_priority(
    capability: PqCapability, asked: tuple[float, float], priority: Priority, given_: tuple[float, float]
) -> None:
    assert within(capability, *asked, priority) == pytest.approx(given_, abs=5e-5)


@pytest.mark.parametrize(
    ("capability", "p", "band"),
    [
        pytest.param(UNIT, 0.6, Band(-0.8, 0.8), id="circle"),
        pytest.param(D_SHAPE, 0.6, Band(-0.44, 0.44), id="d-shape"),
        pytest.param(D_SHAPE, -0.1, Band(0.0, 0.0), id="d-shape-without-charging"),
        pytest.param(MEDIUM_VOLTAGE, 0.15, Band(-0.2365, 0.2365), id="between-corners"),
        pytest.param(MEDIUM_VOLTAGE, 0.09, Band(0.0, 0.0), id="below-the-first-corner"),
        pytest.param(PqCapability(1.0, 1.0, ((0.0, -0.3, 0.2), (0.5, -0.3, 0.2))), 0.9, Band(-0.3, 0.2), id="beyond"),
        pytest.param(ASLEEP, 0.0, Band(0.0, 0.0), id="night"),
        pytest.param(PqCapability(60e3, 66e3, d_shape(0.5)), 30e3, Band(-33e3, 33e3), id="in-var-of-the-rated-va"),
    ],
)
def test_reactive_band(capability: PqCapability, p: float, band: Band) -> None:
    found = reactive_band(capability, p)

    assert (found.lo, found.hi) == pytest.approx((band.lo, band.hi))


@pytest.mark.parametrize(
    ("capability", "q", "band"),
    [
        pytest.param(UNIT, 0.6, Band(-0.8, 0.8), id="circle"),
        pytest.param(UNIT, 0.0, Band(-1.0, 1.0), id="without-q-all-of-p"),
        pytest.param(D_SHAPE, -0.44, Band(0.0, 0.898), id="d-shape"),
        pytest.param(D_SHAPE, 3.0, Band(0.0, 0.898), id="too-much-q-counts-as-the-most"),
        pytest.param(MEDIUM_VOLTAGE, 0.2365, Band(0.15, 1.0), id="q-needs-some-p"),
        pytest.param(LEANING, 0.3, Band(0.0, 0.9), id="q-costs-p"),
        pytest.param(ASLEEP, 0.1, Band(0.01, 0.99499), id="awake"),
    ],
)
def test_active_band(capability: PqCapability, q: float, band: Band) -> None:
    found = active_band(capability, q)

    assert (found.lo, found.hi) == pytest.approx((band.lo, band.hi), abs=5e-5)


@given(capabilities(), shares, shares, priorities)
def test_what_comes_out_is_inside_and_goes_in_unchanged(
    capability: PqCapability, p: float, q: float, priority: Priority
) -> None:
    asked = p * capability.rated_w, q * capability.rated_va
    found = within(capability, *asked, priority)

    assert is_inside(capability, *found)
    assert hypot(*found) <= capability.rated_va * (1 + 1e-9)
    assert within(capability, *found, priority) == found
    if is_inside(capability, *asked):
        assert found == asked


@given(capabilities(), shares, shares, priorities)
def test_no_power_is_ever_raised_or_turned_around(
    capability: PqCapability, p: float, q: float, priority: Priority
) -> None:
    asked = p * capability.rated_w, q * capability.rated_va

    for was, is_ in zip(asked, within(capability, *asked, priority), strict=True):
        assert min(was, 0.0) <= is_ <= max(was, 0.0)


@given(capabilities(), shares, shares)
def test_the_two_bands_tell_the_same(capability: PqCapability, p: float, q: float) -> None:
    """P is in the band of Q where Q is in the band of P; asked a little off the edges, where rounding decides."""
    p_w, q_var = p * capability.rated_w, q * capability.rated_va
    reactive, active = reactive_band(capability, p_w), active_band(capability, q_var)
    near = 1e-6 * capability.rated_va
    assume(all(abs(p_w - edge) > near for edge in (active.lo, active.hi)))
    assume(all(abs(q_var - edge) > near for edge in (reactive.lo, reactive.hi)))
    assume(abs(q) > 1e-6)
    most = max(reactive_band(capability, one).hi for one in (active.lo, active.hi))
    least = min(reactive_band(capability, one).lo for one in (active.lo, active.hi))

    if least - near <= q_var <= most + near:
        assert is_inside(capability, p_w, q_var) == (active.lo <= p_w <= active.hi)
    else:
        assert not is_inside(capability, p_w, q_var), "more Q than there is at any P"


@given(capabilities(), shares, shares)
def test_reactive_priority_never_gives_less_q_than_active_priority(
    capability: PqCapability, p: float, q: float
) -> None:
    asked = p * capability.rated_w, q * capability.rated_va
    by_q, by_p = within(capability, *asked, "reactive"), within(capability, *asked, "active")
    little = 1e-9 * capability.rated_va

    assert abs(by_q[1]) >= abs(by_p[1]) - little
    assert abs(by_p[0]) >= abs(by_q[0]) - little


@given(capabilities(), shares, shares)
def test_power_factor_priority_keeps_the_ratio_where_the_device_has_it(
    capability: PqCapability, p: float, q: float
) -> None:
    p_w, q_var = p * capability.rated_w, q * capability.rated_va
    found = within(capability, p_w, q_var, "power_factor")
    points = [(k / 50 * p_w, k / 50 * q_var) for k in range(1, 51)]
    best = max((hypot(*point) for point in points if is_inside(capability, *point)), default=None)

    if best is not None:
        assert found[0] * q_var == pytest.approx(found[1] * p_w, abs=1e-6 * capability.rated_va**2)
        assert hypot(*found) >= best * (1 - 1e-9), "no point of the ray that is further out is possible"


@pytest.mark.parametrize(
    ("rated_w", "shape", "told"),
    [
        pytest.param(0.0, CIRCLE, "ratings", id="no-rating"),
        pytest.param(1.0, (), "P must rise", id="no-corner"),
        pytest.param(1.0, ((0.5, -1.0, 1.0), (0.2, -1.0, 1.0)), "P must rise", id="p-falls"),
        pytest.param(1.0, ((0.5, -1.0, 1.0), (2.0, -1.0, 1.0)), "P must rise", id="p-in-per-cent"),
        pytest.param(1.0, ((0.0, 0.1, 1.0),), "q_min ≤ 0 ≤ q_max", id="never-without-q"),
        pytest.param(1.0, ((0.0, 0.0, 0.5), (0.5, 0.0, 0.1), (1.0, 0.0, 0.5)), "dent", id="dent"),
        pytest.param(inf - inf, CIRCLE, "ratings", id="not-a-number"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(rated_w: float, shape: tuple[Corner, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PqCapability(rated_w, 1.0, shape)
