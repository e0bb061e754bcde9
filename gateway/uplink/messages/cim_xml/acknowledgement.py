"""
The acknowledgement document (IEC 62325-451-1), and the acknowledgements of the contract that it carries.

The standard acknowledges a document once: accepted (A01), rejected (A02), or with errors in some of its series (A03);
ours speak of each order, and of its whole life. So a document has the reasons by which any receiver knows where it
stands, and beside them, for each order, a reason A95 (complementary information) whose text is the acknowledgement as
JSON: nothing of the contract gets lost. What a reason text has no room for (512 characters) is cut at the end.

    status      code of the contract                    reason
    rejected    any                                     A02 and the reason of the code; of a series A20 and it
    accepted    none                                    A01
    deviating   any                                     the reason of the code
    failed      any                                     the reason of the code, without one B18 failure
    expired     none                                    A57 deadline exceeded
    any other   any                                     A95 alone: an event of the order's life is no error
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from gateway.model import Ack, Refusal, Status
from gateway.uplink.messages.cim_xml.document import Element, leaf, legible
from gateway.uplink.messages.cim_xml.parties import Agreement, order_id, split_id
from gateway.uplink.messages.cim_xml.schema import ACKNOWLEDGEMENT, REASON_MAX, checked, reader, written
from gateway.uplink.messages.cim_xml.times import second, seconds
from gateway.uplink.messages.refusals import MalformedError, found, listed
from gateway.uplink.messages.times import epoch, rfc3339

ACCEPTED, REJECTED, PARTLY, SERIES_REJECTED, COMPLEMENT, UNKNOWN = "A01", "A02", "A03", "A20", "A95", "999"
REVISION_MAX = 999

REASON_OF: dict[str, str] = {
    "malformed": "A94",  # document cannot be processed by the receiving system
    "unknown_target": "A64",  # resource object invalid
    "unsupported_function": "A62",  # invalid business type
    "out_of_range": "A65",  # technical limits exceeded
    "expired": "A57",  # deadline limit exceeded
    "too_old": "A57",
    "stale_revision": "A51",  # message identification or version conflict
    "conflict": "A51",
    "not_authorised": "A78",  # sender identification or role invalid
    "bad_signature": "A78",
    "grid_state": "A59",  # not compliant to local market rules
    "clock_not_trusted": "A96",  # technical constraint
    "overloaded": "A96",
    "overridden": "A96",
    "device_offline": "B59",  # reserve providing unit unavailable
    "resource_short": "A65",
    "write_failed": "B18",  # failure
}
"""The reason of each code of the contract; of any other 999, errors not specifically identified."""
_CODE_OF = {reason: code for code, reason in reversed(REASON_OF.items())}
_DEFAULT = {Status.REJECTED: UNKNOWN, Status.DEVIATING: UNKNOWN, Status.FAILED: "B18", Status.EXPIRED: "A57"}
"""The statuses that have a reason, and the one without a code."""


class _Said(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a reason A95 says of one order; the rest of the acknowledgement stands in the document."""

    status: Status
    n: int
    time: str
    series: str = ""
    requested: float | None = None
    applied: float | None = None
    measured: float | None = None
    unit: str | None = None
    code: str | None = None
    detail: str | None = None


def acknowledgement(site: str, *acks: Ack, agreed: Agreement, issued: float | None = None) -> bytes:
    """
    The document that acknowledges the orders of one revision of one document: the same bytes for the same acks.

    Args:
        issued: When the acknowledged document was, UTC seconds; None where it is not known.

    Raises:
        ValueError: There is no ack, they are of several documents, or their id has no place in the standard.
    """
    of = {(split_id(ack.id)[0], ack.revision) for ack in acks}
    if len(of) != 1:
        raise ValueError(f"an acknowledgement is of one revision of one document; found are {sorted(of)}")
    ((document, revision),) = of
    named = "\n".join([site, *(f"{ack.id} {ack.revision} {ack.n}" for ack in acks)])
    root = Element("Acknowledgement_MarketDocument")
    root.children = [
        leaf("mRID", f"ACK-{hashlib.sha256(named.encode()).hexdigest()[:32]}"),
        leaf("createdDateTime", second(max(ack.time for ack in acks))),
        *agreed.site.written("sender"),
        *agreed.dso.written("receiver"),
        leaf("received_MarketDocument.mRID", document),
        *([leaf("received_MarketDocument.revisionNumber", str(revision))] if revision <= REVISION_MAX else []),
        *([leaf("received_MarketDocument.createdDateTime", second(issued))] if issued is not None else []),
        *(_rejected(ack) for ack in acks if _is_rejected_series(ack)),
        *_reasons(acks),
    ]
    return written(root, ACKNOWLEDGEMENT)


def _is_rejected_series(ack: Ack) -> bool:
    return ack.status is Status.REJECTED and split_id(ack.id)[1] != ""


def _rejected(ack: Ack) -> Element:
    reasons = [_reason(SERIES_REJECTED), _reason(_code(ack), ack.detail)]
    return Element("Rejected_TimeSeries", children=[leaf("mRID", split_id(ack.id)[1]), *reasons])


def _reasons(acks: Iterable[Ack]) -> Iterable[Element]:
    statuses = {ack.status for ack in acks}
    if Status.REJECTED in statuses:
        yield _reason(REJECTED if len(statuses) == 1 else PARTLY)
    elif statuses == {Status.ACCEPTED}:
        yield _reason(ACCEPTED)
    for ack in acks:
        with_reason = ack.status in _DEFAULT
        if with_reason and not _is_rejected_series(ack):
            yield _reason(_code(ack), ack.detail)
        yield _complement(ack, None if with_reason else ack.detail)


def _code(ack: Ack) -> str:
    return REASON_OF.get(ack.code or "", _DEFAULT[ack.status])


def _reason(code: str, text: str | None = None) -> Element:
    reason = Element("Reason", children=[leaf("code", code)])
    if text:
        line = legible(text)
        reason.children.append(leaf("text", line if len(line) <= REASON_MAX else f"{line[: REASON_MAX - 1]}…"))
    return reason


def _complement(ack: Ack, detail: str | None) -> Element:
    said = _Said(
        status=ack.status,
        n=ack.n,
        time=rfc3339(ack.time),
        series=split_id(ack.id)[1],
        requested=ack.requested,
        applied=ack.applied,
        measured=ack.measured,
        unit=ack.unit,
        code=ack.code,
        detail=legible(detail) if detail else None,
    )
    text = msgspec.json.encode(said).decode()
    while len(text) > REASON_MAX and said.detail:
        said = msgspec.structs.replace(
            said, detail=f"{said.detail[: len(said.detail) // 2]}…" if said.detail[1:] else None
        )
        text = msgspec.json.encode(said).decode()
    return _reason(COMPLEMENT, text)


def read_acknowledgement(payload: bytes) -> tuple[Ack, ...] | Refusal:
    """
    The acknowledgements that a document carries, or why it is none: never an exception.

    A document of another's making is one acknowledgement, of the document or of each series that it rejects.
    """
    try:
        document = checked(reader(ACKNOWLEDGEMENT), payload, ACKNOWLEDGEMENT)
        return tuple(_ours(document)) or _foreign(document)
    except MalformedError as error:
        return Refusal("malformed", str(error))


def _ours(document: Element) -> Iterable[Ack]:
    series_said = {one["mRID"].text: _texts(one) for one in document.all("Rejected_TimeSeries")}
    before: str | None = None
    for reason in document.all("Reason"):
        text = reason.said("text")
        try:
            said = msgspec.json.decode(text or "", type=_Said) if reason["code"].text == COMPLEMENT else None
            time = epoch(said.time) if said else 0.0
        except (msgspec.MsgspecError, ValueError, RecursionError):
            said = None
        if said is None:
            before = text
            continue
        detail = said.detail or series_said.get(said.series, before)
        before = None
        yield Ack(
            id=order_id(_document(document), said.series),
            revision=_revision(document),
            n=said.n,
            status=said.status,
            time=time,
            requested=said.requested,
            applied=said.applied,
            measured=said.measured,
            unit=said.unit,
            code=said.code,
            detail=detail,
        )


def _foreign(document: Element) -> tuple[Ack, ...]:
    codes_said = [reason["code"].text for reason in document.all("Reason")]
    outcome = next((code for code in codes_said if code in {ACCEPTED, REJECTED, PARTLY, "B70"}), None)
    if outcome is None:
        first = document["Reason"]["code"]
        raise MalformedError(
            f"{first.where} is {found(first.text)}; accepted are {listed([ACCEPTED, REJECTED, PARTLY, 'B70'])}"
        )
    of = [document] if outcome in {ACCEPTED, REJECTED} else list(document.all("Rejected_TimeSeries"))
    if not of:
        raise MalformedError(f"{document.where} has no Rejected_TimeSeries; accepted is at least one beside {outcome}")
    return tuple(
        Ack(
            id=order_id(_document(document), "" if one is document else one["mRID"].text),
            revision=_revision(document),
            n=1,
            status=Status.ACCEPTED if outcome == ACCEPTED else Status.REJECTED,
            time=seconds(document["createdDateTime"].text),
            code=None
            if outcome == ACCEPTED
            else next(map(_CODE_OF.__getitem__, filter(_CODE_OF.__contains__, _codes(one))), None),
            detail=_texts(one),
        )
        for one in of
    )


def _document(document: Element) -> str:
    mrid = document.said("received_MarketDocument.mRID")
    if mrid is None:
        raise MalformedError(
            f"{document.where} has no received_MarketDocument.mRID; accepted is that of the document it is of"
        )
    return mrid


def _revision(document: Element) -> int:
    return int(document.said("received_MarketDocument.revisionNumber") or 1)


def _codes(element: Element) -> list[str]:
    return [reason["code"].text for reason in element.all("Reason")]


def _texts(element: Element) -> str | None:
    return "; ".join(text for reason in element.all("Reason") if (text := reason.said("text"))) or None
