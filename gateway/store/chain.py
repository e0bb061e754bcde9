"""
The ledger's form, and its proof. Pure: bytes in, a verdict out.

    record 1 ──► hash 1 = SHA-256(hash 0, record 1) ──► record 2 ──► hash 2 = SHA-256(hash 1, record 2) ──► …  head
                 hash 0 is 32 zero bytes                                  signature = Ed25519(SEAL, hash 2)

A record is hashed as the bytes that it is, so nobody has to make the same JSON again. The last record of each commit is
signed, and with it all before it. Where the front was pruned, a `Base` stands for it; some record behind it names the
same base, so that it is under a signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

SCHEMA = "ledger/1"

SEAL = b"dergate-ledger/1\n"
"""Stands before a hash that is signed: the same key signs other things, too, and none may be taken for another."""

NOTHING = bytes(32)
"""The hash before the first record."""

START = "start"
CHECKPOINT = "checkpoint"

FAULTS_MAX = 20
"""Who has read so many faults knows enough; all are counted."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be recorded: `time` in UTC seconds, `ref` the id of the order it is about, `body` a JSON object."""

    time: float
    kind: str
    ref: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """A record in the chain; `signature` is None where a later one of the same commit is signed."""

    n: int
    record: bytes
    hash: bytes
    signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class Base:
    """What stands before the oldest kept record: the last number and hash, and the public key in use there (PEM)."""

    n: int
    hash: str
    key: str


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record, read."""

    n: int
    time: str
    kind: str
    ref: str | None
    body: dict[str, object]


class NoRecord(ValueError):
    """The bytes are no record."""


def stamp(seconds: float) -> str:
    """RFC 3339 with milliseconds and Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> float:
    """The seconds of what `stamp` wrote."""
    return datetime.fromisoformat(text).timestamp()


def linked(previous: bytes, n: int, note: Note) -> Link:
    """The note as record n, behind the record with the hash `previous`."""
    record = msgspec.json.encode(
        {"n": n, "time": stamp(note.time), "kind": note.kind, "ref": note.ref, "body": msgspec.Raw(note.body)}
    )
    return Link(n, record, hash_of(previous, record))


def hash_of(previous: bytes, record: bytes) -> bytes:
    return hashlib.sha256(previous + record).digest()


def read(record: bytes) -> Record:
    """
    The fields of a record.

    Raises:
        NoRecord: It is not one.
    """
    try:
        return msgspec.json.decode(record, type=Record)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NoRecord(str(error)) from error


def base_body(base: Base) -> dict[str, object]:
    """A base, as a record and an export's heading name it."""
    return {"n": base.n, "hash": base.hash, "key": base.key}


def heading(base: Base) -> bytes:
    """The first line of an export."""
    return msgspec.json.encode({"schema": SCHEMA, "base": base_body(base)})


def line(link: Link) -> bytes:
    """A link as one line of an export: the record's own bytes, with hash and signature as its last two members."""
    signature = b"" if link.signature is None else b',"signature":"%s"' % link.signature.hex().encode()
    return b'%s,"hash":"%s"%s}' % (link.record[:-1], link.hash.hex().encode(), signature)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is broken, at which number."""

    n: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What was found. `keys` are the public keys (PEM) with the number of the record from which each is in use; `answered`
    is the highest number of an acknowledgement by order; `fault_count` counts also the faults beyond FAULTS_MAX.
    """

    records: int
    first: Record | None
    last: Record | None
    head: Link | None
    keys: tuple[tuple[int, str], ...]
    answered: Mapping[str, int]
    faults: tuple[Fault, ...]
    fault_count: int

    @property
    def holds(self) -> bool:
        return not self.fault_count


Check = Callable[[str, bytes, bytes], bool]
"""Whether the signature (second) over the bytes (third) was made with the key whose public half (PEM) comes first."""


def verify(base: Base | None, links: Iterable[Link], check: Check) -> Verdict:
    """
    Go along the whole chain. A fault is told where it is, and what follows is judged by what is stored there.

    Args:
        base: What stands before the first link; None: it cannot be read.
        links: In the order of their storage.
        check: Checks a signature; a key that is none is one that has signed nothing.
    """
    walk = _Walk(base, check)
    for link in links:
        walk.step(link)
    return walk.verdict()


class _Walk:
    def __init__(self, base: Base | None, check: Check) -> None:
        self._base = base
        self._check = check
        self._faults: list[Fault] = []
        self._fault_count = 0
        self._records = 0
        self._first: Record | None = None
        self._last: Record | None = None
        self._head: Link | None = None
        self._answered: dict[str, int] = {}
        self._based = False
        self._n = 0
        self._hash: bytes | None = None
        self._key: str | None = None
        self._keys: list[tuple[int, str]] = []
        if base is None:
            self._fault(0, "what stands before the oldest record cannot be read")
        else:
            self._begin(base)

    def _begin(self, base: Base) -> None:
        self._n = base.n
        try:
            self._hash = bytes.fromhex(base.hash)
        except ValueError:
            self._fault(base.n, "the hash before the oldest record is none")
        if base.n == 0 and self._hash != NOTHING:
            self._fault(0, "something else than nothing stands before the first record")
        self._use(base.n + 1, base.key)

    def _fault(self, n: int, text: str) -> None:
        self._fault_count += 1
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(Fault(n, text))

    def _use(self, n: int, key: str) -> None:
        if key != self._key:
            self._key = key
            self._keys.append((n, key))

    def step(self, link: Link) -> None:
        self._records += 1
        if link.n != self._n + 1 and not (self._base is None and self._records == 1):
            missing = f"records {self._n + 1} to {link.n - 1} are missing"
            self._fault(link.n, missing if link.n > self._n else f"record {link.n} stands behind record {self._n}")
            self._hash = None
        sound = self._hash is None or hash_of(self._hash, link.record) == link.hash
        if not sound:
            self._fault(link.n, f"record {link.n} was changed, or its hash was")
        try:
            record = read(link.record)
        except NoRecord as error:
            self._fault(link.n, f"record {link.n} is none: {error}")
        else:
            self._read(link, record, sound=sound)
        if link.signature is not None and not (
            self._key is not None and self._check(self._key, link.signature, SEAL + link.hash)
        ):
            self._fault(link.n, f"the signature of record {link.n} is not this key's over this hash")
        self._n, self._hash, self._head = link.n, link.hash, link

    def _read(self, link: Link, record: Record, *, sound: bool) -> None:
        if record.n != link.n:
            self._fault(link.n, f"record {link.n} calls itself {record.n}")
        self._first = self._first or record
        self._last = record
        if not sound:  # nothing that it says is taken
            return
        if record.kind == START and isinstance(key := record.body.get("key"), str):
            self._use(link.n, key)
        if record.kind in {START, CHECKPOINT} and self._base is not None:
            self._based = self._based or record.body.get("base") == base_body(self._base)
        n = record.body.get("n")
        if record.kind == "ack" and record.ref is not None and isinstance(n, int):
            self._answered[record.ref] = max(n, self._answered.get(record.ref, 0))

    def verdict(self) -> Verdict:
        if self._head is None:
            self._fault(self._n, "there is no record")
        elif self._head.signature is None:
            self._fault(self._n, f"record {self._n}, the last one, is not signed: what followed it was cut off")
        if self._base is not None and self._head is not None and not self._based:
            self._fault(self._base.n, f"no record confirms what stands before record {self._base.n + 1}")
        return Verdict(
            records=self._records,
            first=self._first,
            last=self._last,
            head=self._head,
            keys=tuple(self._keys),
            answered=self._answered,
            faults=tuple(self._faults),
            fault_count=self._fault_count,
        )
