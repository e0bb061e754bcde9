from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.rigs import RIGS, Rig


@pytest.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Each driver in turn, with its peer."""
    async with RIGS[request.param]() as rig:
        yield rig
