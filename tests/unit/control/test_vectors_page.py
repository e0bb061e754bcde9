"""The page of vectors says what is computed."""

from __future__ import annotations

from pathlib import Path

import gateway.control
from benchmarks.functions import lines
from tests.unit.control.vectors import VECTORS

PAGE = Path(gateway.control.__file__).parent / "VECTORS.md"


def test_the_page_holds_every_vector_as_it_is_computed() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]

    assert rows == list(lines()), "run `python -m benchmarks.functions` and put its table there"
    assert {vector.number for vector in VECTORS} == set(range(1, 30))
