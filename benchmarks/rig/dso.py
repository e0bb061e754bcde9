"""The DSO of the benchmarks: sends orders, stamps what is answered, and acknowledges every measurement."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec

from benchmarks.rig.mqtt import Client
from benchmarks.rig.site import DER, PREFIX


class _Frame(msgspec.Struct):
    seq: int
    values: dict[str, float]


class _Batch(msgspec.Struct):
    epoch: str
    first: int
    last: int
    frames: list[_Frame]


_batch = msgspec.json.Decoder(_Batch)


class Dso:
    """
    Attributes:
        heard: The stamp of each acknowledgement, by (id, status).
        frames: The numbers of the frames that came, of one store's life.
        values: How many values were in them.
    """

    def __init__(self) -> None:
        self.heard: dict[tuple[str, str], int] = {}
        self.frames: set[int] = set()
        self.values = 0
        self._waiting: dict[tuple[str, str], asyncio.Future[int]] = {}
        self._client: Client | None = None
        self._wanted = b""
        self._measured: asyncio.Future[int] | None = None

    @classmethod
    async def connect(cls, broker_port: int) -> Dso:
        dso = cls()
        dso._client = await Client.connect(broker_port, "dso", dso._received, PREFIX + "acks", PREFIX + "measurements")
        return dso

    def close(self) -> None:
        self._out.close()

    async def measured(self, point: str = "") -> int:
        """The stamp of the next batch of measurements that speaks of a point."""
        self._wanted = f'"{point}'.encode()
        self._measured = asyncio.get_running_loop().create_future()
        return await self._measured

    def order(self, id_: str, value: int) -> int:
        """Limit the DER to a value in %; the stamp of the sending."""
        order: dict[str, Any] = {
            "schema": "activation/1",
            "id": id_,
            "revision": 1,
            "issuer": "dso",
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "target": DER,
            "function": "limit_active_power",
            "value": value,
            "unit": "%",
        }
        return self._out.publish(PREFIX + "activations", msgspec.json.encode(order))

    async def acknowledged(self, id_: str, status: str) -> int:
        """The stamp of an acknowledgement, when it is there."""
        if (id_, status) not in self.heard:
            waiting = self._waiting[id_, status] = asyncio.get_running_loop().create_future()
            await waiting
        return self.heard[id_, status]

    @property
    def _out(self) -> Client:
        if self._client is None:
            raise RuntimeError("not connected")
        return self._client

    def _received(self, topic: str, payload: bytes, stamp: int) -> None:
        if topic.endswith("/acks"):
            ack = msgspec.json.decode(payload)
            key = ack["id"], ack["status"]
            self.heard.setdefault(key, stamp)
            waiting = self._waiting.pop(key, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(stamp)
            return
        batch = _batch.decode(payload)
        ranges = [[batch.first, batch.last]]
        answer = {"schema": "measurements-ack/1", "epoch": batch.epoch, "ranges": ranges}
        self._out.publish(PREFIX + "measurements/ack", msgspec.json.encode(answer))
        for frame in batch.frames:
            self.values += 0 if frame.seq in self.frames else len(frame.values)
            self.frames.add(frame.seq)
        if self._measured is not None and not self._measured.done() and self._wanted in payload:
            self._measured.set_result(stamp)
