"""On a site where nothing moves by itself, an order comes to rest: no limit cycle, and no register worn out."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.model import Activation, Reserve, SetPoint
from tests.simulation.site import CALM, RATED_W, Site

SETTLING_S = 90
LOOKED_AT_S = 180
SWING_W = 0.01 * RATED_W
"""Peak to peak of the power at the meter, at rest."""
TURN_W = 0.0005 * RATED_W
"""A change of direction by less is none."""
TURNS_MAX = 6
"""In three minutes; a limit cycle of two dead times and a poll, the slowest that there could be, has twice as many."""
WRITES_PER_MINUTE_MAX = 3.0
"""Of each point: what stands need not be written again."""

ORDERS: dict[str, list[dict[str, object]]] = {
    "limit at the meter": [{"function": "limit_active_power", "value": 20.0, "unit": "%"}],
    "no export": [{"function": "limit_active_power", "value": 0.0, "unit": "%"}],
    "import limit": [{"function": "limit_import", "value": 5_000.0, "unit": "W"}],
    "set-point at the meter": [{"function": "set_active_power", "value": 10_000.0, "unit": "W"}],
    "import as a set-point": [{"function": "set_active_power", "value": -20_000.0, "unit": "W"}],
    "set-point of the plant": [
        {"function": "set_active_power", "target": "plant", "value": 40_000.0, "unit": "W"},
    ],
    "reactive power at the meter": [{"function": "set_reactive_power", "value": -10_000.0, "unit": "var"}],
    "volt-var at the meter": [
        {"function": "volt_var", "curve": ((0.95, 0.44), (1.0, 0.0), (1.05, -0.44)), "response_s": 10.0},
    ],
    "volt-watt at the meter": [{"function": "volt_watt", "curve": ((0.99, 1.0), (1.02, 0.2)), "response_s": 20.0}],
    "power factor of the plant": [
        {"function": "set_power_factor", "target": "plant", "value": 0.95, "excitation": "under"}
    ],
    "cosφ(P) and a limit": [
        {"function": "watt_power_factor", "target": "inv1", "preset": "", "curve": ((0.5, 1.0), (1.0, -0.9))},
        {"function": "limit_active_power", "value": 30.0, "unit": "%"},
    ],
    "limit, set-point and reserve": [
        {"function": "limit_export", "value": 25_000.0, "unit": "W"},
        {"function": "set_active_power", "target": "plant", "value": 30_000.0, "unit": "W"},
        {"function": "reserve", "target": "plant", "reserve": Reserve(10_000.0, 5_000.0)},
    ],
}


def turns(powers: list[float]) -> int:
    """How often a power changes its direction, by more than TURN_W each."""
    found, extreme, rising = 0, powers[0], None
    for power in powers:
        if rising is None:
            if abs(power - extreme) > TURN_W:
                extreme, rising = power, power > extreme
        elif (power > extreme) == rising:
            extreme = power
        elif abs(power - extreme) > TURN_W:
            found, extreme, rising = found + 1, power, not rising
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("orders", ORDERS.values(), ids=ORDERS)
def test_an_order_comes_to_rest(orders: list[dict[str, object]], seed: int) -> None:
    """With dead times up to 3 s, responses of 1 to 10 s and polls of 1 to 5 s, as the seed draws them."""
    site = Site(seed, weather=CALM, daylight=lambda _: 0.7)
    writes: list[tuple[float, SetPoint]] = []
    site.on_write = lambda setpoint, _: writes.append((site.mono, setpoint))
    for _ in range(30):
        site.step()
    for number, fields in enumerate(orders):
        values: dict[str, object] = {"target": "pcc", **fields}
        order = Activation(id=f"o{number}", revision=1, issuer="dso", issued=site.now.wall, **values)  # type: ignore[arg-type]
        site.send(order, "dso")
    for _ in range(SETTLING_S):
        site.step()
    assert not [ack for ack in site.acks if ack.status == "rejected"]
    began = site.mono
    active, reactive = [], []
    for _ in range(LOOKED_AT_S):
        site.step()
        active.append(site.point.active_power_w)
        reactive.append(site.point.reactive_power_var)

    for name, powers in (("W", active), ("var", reactive)):
        swing = max(powers) - min(powers)
        assert swing <= SWING_W, f"{swing:.0f} {name} peak to peak with {turns(powers)} turns"
        assert turns(powers) <= TURNS_MAX
    points = [setpoint.point for at, setpoint in writes if at > began]
    for point in set(points):
        assert points.count(point) <= WRITES_PER_MINUTE_MAX * LOOKED_AT_S / 60, f"{point}: {points.count(point)} writes"


def test_turns_are_counted_where_there_are_some() -> None:
    wave = [1_000.0, -1_000.0] * 10

    assert turns(wave) == len(list(pairwise(wave))) - 1
    assert turns([0.0, 20.0] * 10) == 0
    assert turns([10.0 * second for second in range(100)]) == 0
