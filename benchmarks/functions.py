"""What the grid functions compute, beside what their norms expect: `python -m benchmarks.functions`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from tests.unit.control.vectors import VECTORS, Vector


def lines() -> Iterator[str]:
    """The table in Markdown, a row a vector; `computed` has a digit more than what is expected."""
    yield "| function | norm | input | expected | computed |"
    yield "| --- | --- | --- | --- | --- |"
    for vector in VECTORS:
        yield f"| `{vector.function}` | {vector.norm} | {vector.symbol} = {vector.x:g} | {_expected(vector)} |"


def _expected(vector: Vector) -> str:
    expected, computed = (
        _plain(value, vector.decimals + more) for value, more in ((vector.expected, 0), (vector.computed, 1))
    )
    return f"{vector.output} = {expected} | {computed}"


def _plain(value: float, decimals: int) -> str:
    """Rounded, and without a sign where it rounds to 0."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


@click.command()
def main() -> None:
    """The test vectors of the grid functions, expected and computed."""
    for line in lines():
        print(line)


if __name__ == "__main__":
    main()
