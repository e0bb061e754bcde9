"""What a gateway would send, with everything the contract wants in it; tests change what they are about."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

SITE = "demo"
BASE = f"der/v1/{SITE}/"
TIME = "2026-11-22T10:00:00.000Z"

Json = dict[str, Any]


def order(order_id: str = "a", revision: int = 1, **fields: Any) -> Json:
    body = {"schema": "activation/1", "id": order_id, "revision": revision, "issuer": "dso", "time": TIME}
    return {**body, "target": "pcc", "function": "limit_active_power", "value": 60, "unit": "%", **fields}


def cancellation(order_id: str = "a", revision: int = 1) -> Json:
    return {"schema": "cancellation/1", "id": order_id, "revision": revision}


def ack(n: int, status: str, order_id: str = "a", revision: int = 1, **fields: Any) -> Json:
    code = "device_offline" if status == "deviating" else "out_of_range" if status == "rejected" else None
    body = {"schema": "ack/1", "site": SITE, "time": TIME, "id": order_id, "revision": revision, "n": n}
    powers = {"requested": 36000.0, "applied": 36000.0, "measured": 35500.0, "unit": "W"}
    return {**body, "status": status, **powers, "code": code, "detail": None, **fields}


def batch(numbers: Iterable[int], *, epoch: str = "e1", lane: str = "live", value: float = 1.0, **fields: Any) -> Json:
    frames = [{"seq": seq, "time": TIME, "values": {"pcc.active_power": value}} for seq in numbers]
    body = {"schema": "measurements/1", "site": SITE, "time": TIME, "epoch": epoch, "lane": lane, "frames": frames}
    return {**body, "first": frames[0]["seq"], "last": frames[-1]["seq"], **fields}


def gap(first: int, last: int, **fields: Any) -> Json:
    return {"schema": "event/1", "site": SITE, "time": TIME, "code": "buffer_gap", "from": first, "to": last, **fields}


def encoded(body: Json) -> bytes:
    return json.dumps(body).encode()
