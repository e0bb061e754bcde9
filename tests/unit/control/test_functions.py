"""The grid functions do what their norms say."""

from __future__ import annotations

import pytest

from tests.unit.control.vectors import VECTORS, Vector


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
def test_every_vector_of_the_norms_is_met_to_its_last_digit(vector: Vector) -> None:
    half_a_digit = 0.5001 * 10**-vector.decimals
    assert vector.computed == pytest.approx(vector.expected, rel=0, abs=half_a_digit)


def test_no_row_of_the_table_is_left_out_or_told_twice() -> None:
    assert {vector.number for vector in VECTORS} == set(range(1, 30))
    assert len({vector.id for vector in VECTORS}) == len(VECTORS)
