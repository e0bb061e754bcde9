"""The local API: what is answered at which path, and what is refused before anything looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.local import documents, metrics
from gateway.local.documents import Document, View

JSON = "application/json"
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'"),
    (b"cache-control", b"no-store"),
)

DOCUMENTS: dict[str, Callable[[View], Document]] = {
    "/api/v1/state": documents.state,
    "/api/v1/devices": documents.devices,
    "/api/v1/points": documents.points,
    "/api/v1/activations": documents.activations,
    "/api/v1/control": documents.control,
    "/api/v1/buffer": documents.buffer,
    "/api/v1/plan": documents.plan,
}


def application(view: Callable[[], View], host: str, workers: Executor) -> ASGIApp:
    """
    All of it.

    `view` is called on the event loop; what is made of it is made by `workers`, so that a long list of points holds up
    no tick. `host` is the host name we listen at.
    """

    def route(path: str, answer: Callable[[View], Response]) -> Route:
        async def endpoint(_: Request) -> Response:
            return await asyncio.get_running_loop().run_in_executor(workers, answer, view())

        return Route(path, endpoint)

    routes = [route(path, _as_json(build)) for path, build in DOCUMENTS.items()]
    routes += [route("/healthz", _health), route("/metrics", _metrics)]
    return Guard(Starlette(routes=routes, exception_handlers={HTTPException: _refused}), LOOPBACK_NAMES | {host})


def _as_json(build: Callable[[View], Document]) -> Callable[[View], Response]:
    return lambda view: Response(documents.encode(build(view)), media_type=JSON)


def _health(view: View) -> Response:
    return Response(documents.encode(documents.health(view)), 503 if view.reasons else 200, media_type=JSON)


def _metrics(view: View) -> Response:
    return Response(metrics.exposition(view), headers={"content-type": metrics.CONTENT_TYPE})


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):  # starlette hands over only those
        raise error
    known = ", ".join(("/healthz", "/metrics", *DOCUMENTS))
    return _error(error.status_code, f"there is nothing at {request.url.path}; there is: {known}")


def _error(status: int, text: str, **headers: str) -> Response:
    return Response(documents.encode({"error": text}), status, media_type=JSON, headers=headers)


class Guard:
    """Refuses what no reader of ours sends, and gives each answer its security headers."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        app = self._refusal(scope) or self._app
        await app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Callable[[Scope, Receive, Send], Awaitable[None]] | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = host_of(headers.get(b"host", b"").decode("latin-1"))
        if host not in self._hosts:  # a page of another site, whose name was made to lead here (DNS rebinding)
            return _error(403, f"asked for the host {host!r}; accepted: {', '.join(sorted(self._hosts))}")
        if scope["method"] != "GET":
            text = f"{scope['method']} is not accepted, only GET: nothing can be written here"
            return _error(405, text, allow="GET", connection="close")
        if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
            return _error(413, "a request has no body here", connection="close")
        return None


def host_of(header: str) -> str | None:
    """
    The name in a Host header, without its port; None where there is none.

    >>> host_of("LOCALHOST:8080"), host_of("[::1]:8080"), host_of("127.0.0.1")
    ('localhost', '::1', '127.0.0.1')
    """
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None
