"""
The least MQTT 3.1.1 client that can measure: one socket with TCP_NODELAY, a time stamp at each arrival, QoS 1, no
session and no reconnect.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import cast

OnMessage = Callable[[str, bytes, int], None]
"""Takes topic, payload, and the monotonic nanoseconds of the arrival."""

_CONNACK, _PUBLISH, _SUBACK = 2, 3, 9


class Client(asyncio.Protocol):
    """Call `connect`; a broken connection shows as a time-out of whoever waits for a message."""

    def __init__(self, on_message: OnMessage) -> None:
        self._on_message = on_message
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._packet_id = 0
        loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = loop.create_future()
        self._subscribed: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def connect(cls, port: int, client_id: str, on_message: OnMessage, *topics: str) -> Client:
        """Connect to a broker on the loopback and subscribe at QoS 1."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: cls(on_message), "127.0.0.1", port)
        await client.begin(client_id, topics)
        return client

    async def begin(self, client_id: str, topics: tuple[str, ...]) -> None:
        """Log in at the broker, and subscribe."""
        clean, keepalive_s = 0x02, 0
        head = _text("MQTT") + bytes((4, clean)) + keepalive_s.to_bytes(2, "big")
        self._send(0x10, head + _text(client_id))
        await self._connected
        if topics:
            wanted = b"".join(_text(topic) + b"\x01" for topic in topics)
            self._send(0x82, self._next_id() + wanted)
            await self._subscribed

    def publish(self, topic: str, payload: bytes) -> int:
        """Send at QoS 1; returns the monotonic nanoseconds at which it was handed to the socket."""
        packet = _packet(0x32, _text(topic) + self._next_id() + payload)
        stamp = time.monotonic_ns()
        self._out.write(packet)
        return stamp

    def close(self) -> None:
        self._send(0xE0, b"")
        self._out.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        stamp = time.monotonic_ns()
        buffer = self._buffer + data
        start = 0
        while (found := _next_packet(buffer, start)) is not None:
            head, body, start = found
            self._take(head, body, stamp)
        self._buffer = buffer[start:]

    def _take(self, head: int, body: bytes, stamp: int) -> None:
        kind = head >> 4
        if kind == _CONNACK:
            self._connected.set_result(None)
        elif kind == _SUBACK:
            self._subscribed.set_result(None)
        elif kind == _PUBLISH:
            end = 2 + int.from_bytes(body[:2], "big")
            topic = body[2:end].decode()
            if head & 0x06:
                self._send(0x40, body[end : end + 2])
                end += 2
            self._on_message(topic, body[end:], stamp)

    @property
    def _out(self) -> asyncio.Transport:
        if self._transport is None:
            raise RuntimeError("not connected")
        return self._transport

    def _send(self, head: int, body: bytes) -> None:
        self._out.write(_packet(head, body))

    def _next_id(self) -> bytes:
        self._packet_id = self._packet_id % 0xFFFF + 1
        return self._packet_id.to_bytes(2, "big")


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _packet(head: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    length.append(left)
    return bytes((head, *length)) + body


def _next_packet(buffer: bytes, start: int) -> tuple[int, bytes, int] | None:
    """The packet at `start`: its first byte, its body and where it ends; None while bytes are missing."""
    length, shift, at = 0, 0, start + 1
    while at < len(buffer):
        byte = buffer[at]
        length |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            end = at + length
            return None if end > len(buffer) else (buffer[start], buffer[at:end], end)
    return None
