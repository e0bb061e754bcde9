"""What is packed comes back as it was, or not at all."""

from types import MappingProxyType

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Frame, Quality
from gateway.store import codec
from tests.unit.store.helpers import T0, frame, frames

POINT = st.text(min_size=1, max_size=8)
VALUE = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.text()
FRAME = st.builds(
    Frame,
    st.floats(0, 1e11),
    st.dictionaries(POINT, VALUE, max_size=4),
    st.dictionaries(POINT, st.sampled_from(Quality), max_size=2),
)


@given(st.lists(FRAME, max_size=5))
def test_frames_come_back_with_their_values_and_types(given_frames):
    kept = codec.writable(given_frames)
    assert kept == tuple(given_frames)
    back = codec.unpack(codec.pack(kept))
    assert back == kept
    assert [[type(v) for v in f.values.values()] for f in back] == [[type(v) for v in f.values.values()] for f in kept]


def test_a_flipped_bit_never_gives_other_frames():
    original = tuple(frames(3))
    body = codec.pack(original)
    seen = 0
    for i in range(len(body)):
        for bit in range(8):
            rotten = body[:i] + bytes([body[i] ^ (1 << bit)]) + body[i + 1 :]
            try:
                assert codec.unpack(rotten) == original  # a bit of the header that says nothing
            except codec.Unreadable:
                seen += 1
    assert seen > 7 * len(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"plain",
        codec.pack(frames(3))[:-1],
        zstandard.compress(b"[]x"),
        zstandard.compress(b'[{"time": "late"}]'),
        zstandard.compress(b"\xff\xfe"),
        b"\x28\xb5\x2f\xfd\xe0" + (2**60).to_bytes(8, "little") + b"\x01\x00\x00",
    ],
    ids=["empty", "not compressed", "cut", "not JSON", "no frames", "not UTF-8", "claims 2^60 bytes"],
)
def test_what_is_no_block_is_unreadable(body):
    with pytest.raises(codec.Unreadable):
        codec.unpack(body)


def test_any_mapping_may_hold_the_values():
    original = Frame(T0, MappingProxyType({"a.p": 1.0}), MappingProxyType({"a.p": Quality.STALE}))
    kept = codec.writable([original])
    assert codec.unpack(codec.pack(kept)) == (Frame(T0, {"a.p": 1.0}, {"a.p": Quality.STALE}),)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_becomes_an_invalid_one(value):
    odd = Frame(T0, {"a.p": value, "a.q": 1.0}, {"a.q": Quality.STALE})
    expected = Frame(T0, {"a.q": 1.0}, {"a.q": Quality.STALE, "a.p": Quality.INVALID})
    assert codec.writable([frame(0), odd]) == (frame(0), expected)


@pytest.mark.parametrize("value", ["\ud800", object(), None], ids=["a lone surrogate", "an object", "none"])
def test_a_frame_that_has_no_written_form_is_left_out_and_its_neighbours_stay(value):
    assert codec.writable([frame(0), Frame(T0, {"a.p": value}), frame(2)]) == (frame(0), frame(2))
