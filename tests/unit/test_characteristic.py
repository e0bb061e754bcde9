"""The text of a characteristic says all of it, and nothing else passes for one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.characteristic import Characteristic, Curve, Droop, from_text, to_text

finite = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | finite

curves = st.builds(Curve, st.lists(st.tuples(finite, finite), min_size=1, max_size=20).map(tuple), maybe)
droops = st.builds(
    Droop,
    deadband_hz=finite,
    droop=finite,
    response_s=maybe,
    p_min=maybe,
    under_deadband_hz=maybe,
    under_droop=maybe,
    sides=st.sampled_from(["both", "over", "under"]),
    reference=st.sampled_from(["frozen", "nominal"]),
    release_delay_s=finite,
    recovery_per_s=maybe,
)


@given(curves | droops)
def test_a_characteristic_comes_back_from_its_text_as_it_was(characteristic: Characteristic) -> None:
    again = from_text(to_text(characteristic))
    assert again == characteristic
    assert to_text(again) == to_text(characteristic)


@given(curves | droops, curves | droops)
def test_different_characteristics_have_different_texts(one: Characteristic, other: Characteristic) -> None:
    assert one == other or to_text(one) != to_text(other)


def test_a_text_is_one_line_without_spaces_and_its_names_are_in_order() -> None:
    assert to_text(Curve(((0.92, 0.44), (1.08, -0.44)), 5.0)) == (
        '{"points":[[0.92,0.44],[1.08,-0.44]],"response_s":5.0}'
    )
    assert to_text(Droop(0.2, 0.05)) == (
        '{"deadband_hz":0.2,"droop":0.05,"p_min":null,"recovery_per_s":null,"reference":"frozen",'
        '"release_delay_s":0.0,"response_s":null,"sides":"both","under_deadband_hz":null,"under_droop":null}'
    )


def test_every_field_of_a_droop_is_in_its_text() -> None:
    plain = Droop(0.2, 0.05)
    for changed in (
        replace(plain, p_min=0.1),
        replace(plain, sides="over"),
        replace(plain, reference="nominal"),
        replace(plain, release_delay_s=600.0),
        replace(plain, recovery_per_s=0.1),
        replace(plain, under_droop=0.02),
    ):
        assert to_text(changed) != to_text(plain)
        assert from_text(to_text(changed)) == changed


def test_a_text_of_another_hand_is_read_whatever_its_spaces_and_order() -> None:
    text = ' {"response_s": 5, "points": [[1, 0], [1.08, -0.44]]} '
    assert from_text(text) == Curve(((1.0, 0.0), (1.08, -0.44)), 5)
    assert from_text('{"droop": 0.05, "deadband_hz": 0.2}') == Droop(0.2, 0.05)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("volt_var", id="no-json"),
        pytest.param('{"points": [[0.92, 0.44]', id="cut-off"),
        pytest.param("5", id="a-number"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="a-list"),
        pytest.param('["points"]', id="a-list-with-the-word"),
        pytest.param('"points"', id="a-string-with-the-word"),
        pytest.param("{}", id="nothing-in-it"),
        pytest.param('{"points": []}', id="no-points"),
        pytest.param('{"points": null}', id="points-null"),
        pytest.param('{"points": 5}', id="points-a-number"),
        pytest.param('{"points": [0.92, 0.44]}', id="points-flat"),
        pytest.param('{"points": [[0.92]]}', id="a-point-without-y"),
        pytest.param('{"points": [[0.92, 0.44, 1]]}', id="a-point-of-three"),
        pytest.param('{"points": [[0.92, "high"]]}', id="a-word-for-y"),
        pytest.param('{"points": [[0.92, null]]}', id="null-for-y"),
        pytest.param('{"points": [[0.92, NaN]]}', id="nan"),
        pytest.param('{"points": [[Infinity, 0.44]]}', id="infinite"),
        pytest.param('{"points": [[1e999, 0.44]]}', id="too-great-a-number"),
        pytest.param('{"deadband_hz": 0.2}', id="a-droop-without-droop"),
        pytest.param('{"deadband_hz": 0.2, "droop": 0.05, "slope": 40}', id="an-unknown-name"),
    ],
)
def test_what_is_no_characteristic_is_refused_with_what_was_found(text: str) -> None:
    with pytest.raises(ValueError, match=r"^should be a curve or a droop, found ") as error:
        from_text(text)
    assert text[:60] in str(error.value)


def test_a_long_text_is_told_by_its_beginning() -> None:
    with pytest.raises(ValueError, match="should be") as error:
        from_text("x" * 10_000)
    assert len(str(error.value)) < 300
