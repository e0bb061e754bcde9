"""The closed loop at the PCC: steps, meters that are late, noisy or lost, DERs that are lost, goals beyond reach."""

from __future__ import annotations

import pytest

from benchmarks.step_response import Case, grid, respond

CORNERS = [case for case in grid() if case.t90_s != 5.0 and case.dead_time_s != 1.0]


@pytest.mark.parametrize("case", CORNERS, ids=str)
def test_a_step_is_answered_as_fast_as_its_device_can_and_without_swinging(case: Case) -> None:
    response = respond(case)

    assert response.settled_s <= response.allowed_s
    assert response.overshoot <= 5.0
    assert response.swing <= 1.0
    assert response.writes <= 12
