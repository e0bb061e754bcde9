"""The samples of the documents, and the exchange that they belong to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.uplink.messages.cim_xml.parties import Agreement, Mrid, Party

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def agreed() -> Agreement:
    """What the parties of the samples have agreed on."""
    return Agreement(
        dso=Party(Mrid("10XDSO-EXAMPLE-X"), "A50"),
        site=Party(Mrid("10XAGG-EXAMPLE-Y"), "A27"),
        domain=Mrid("10YEXAMPLE-----1"),
        resources={"pcc": Mrid("SITE-0042", "NDE")},
    )


@pytest.fixture
def sample() -> Callable[[str], bytes]:
    return lambda name: (SAMPLES / f"{name}.xml").read_bytes()
