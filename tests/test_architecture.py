"""Who may import whom. The table is the architecture; what is not in it is an error."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("gateway", "drivers", "hil")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "gateway.characteristic": (),
    "gateway.model": ("gateway.characteristic",),
    "gateway.clock": ("gateway.model",),
    "gateway.image": ("gateway.model",),
    "gateway.report": ("gateway.model", "gateway.image"),
    "gateway.control": ("gateway.model", "gateway.characteristic", "gateway.image", "gateway.control"),
    "gateway.supervise": ("gateway.model", "gateway.image", "drivers.base"),
    "gateway.store": ("gateway.model", "gateway.store"),
    "gateway.uplink.messages": ("gateway.model", "gateway.characteristic", "gateway.uplink.messages"),
    "gateway.uplink": ("gateway.model", "gateway.uplink", "drivers.config"),
    "gateway.local": (
        "gateway.model",
        "gateway.image",
        "gateway.control",
        "gateway.uplink.messages",
        "gateway.local",
        "drivers.base",
    ),
    "gateway.config": ("gateway.model", "gateway.config", "gateway.control.pq", "gateway.uplink.config", "drivers"),
    "gateway.log": (),
    "gateway.identity": (),
    "gateway.commissioning": (
        "gateway.model",
        "gateway.image",
        "gateway.supervise",
        "gateway.identity",
        "gateway.control.capability",
        "gateway.commissioning",
        "drivers.base",
    ),
    "gateway": ("gateway", "drivers", "hil"),  # the composition root and the commands
    "drivers.base": ("gateway.model", "gateway.characteristic"),
    "drivers.config": (),
    "drivers.modbus": ("gateway.model", "gateway.characteristic", "drivers.base", "drivers.config", "drivers.modbus"),
    "drivers": ("drivers",),
    "hil": ("hil",),
}
"""By the longest prefix of the importing module."""

PURE = (
    "gateway.model",
    "gateway.characteristic",
    "gateway.image",
    "gateway.report",
    "gateway.control",
    "gateway.commissioning.result",
    "gateway.commissioning.effect",
    "gateway.commissioning.follow",
    "gateway.commissioning.plan",
    "gateway.commissioning.readings",
    "gateway.commissioning.protocol",
    "gateway.commissioning.plot",
    "gateway.commissioning.page",
    "gateway.uplink.messages",
    "gateway.ledger",
    "hil.plant",
)
IMPURE = {"asyncio", "time", "datetime", "sqlite3", "logging", "socket", "threading", "aiomqtt", "random", "os"}
ALLOWED_IMPURE = {
    ("gateway.uplink.messages", "datetime"),  # parses RFC 3339; that it reads no clock is the next test
    ("hil.plant", "random"),  # seeded by its caller
}
READERS_OF_TIME = {"gateway.clock"}


def modules() -> list[tuple[str, Path]]:
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def within(name: str, prefixes: tuple[str, ...] | set[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_module_imports_only_what_the_table_allows(module: str, path: Path) -> None:
    rule = max((prefix for prefix in MAY_IMPORT if within(module, (prefix,))), key=len)
    for name in imports(path):
        if name in PACKAGES or not within(name, PACKAGES):
            continue
        parents_only = any(name != other and other.startswith(name + ".") for other in imports(path))
        assert within(name, MAY_IMPORT[rule]) or parents_only, f"{module} ({rule}) imports {name}"
    if within(module, PURE):
        for name in imports(path):
            library = name.partition(".")[0]
            allowed = any(within(module, (m,)) and library == one for m, one in ALLOWED_IMPURE)
            assert allowed or library not in IMPURE, f"{module} is pure and imports {name}"


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_only_the_clock_reads_time(module: str, path: Path) -> None:
    if module in READERS_OF_TIME or not module.startswith(("gateway", "drivers")):
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            read = f"{node.value.id}.{node.attr}"
            assert read not in {"time.time", "time.monotonic", "datetime.now", "datetime.utcnow"}, f"{module}: {read}"
