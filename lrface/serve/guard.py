"""Checks before every route: access, size of the request, and the security headers of the answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse

from lrface.serve.metrics import Metrics
from lrface.serve.settings import Settings, is_loopback

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: The page may load nothing from another server and no inline script. It may show pictures that it made itself.
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

#: Paths that need no token: the page, which holds no personal data, the health check and the schema.
OPEN = ("/", "/health", "/openapi.json")


class Guard:
    """ASGI middleware around the whole application.

    Without a token, only this machine may ask. A page from another server, open in a browser of this machine, must be
    refused too. Therefore the Host header must name this machine, and the Origin header must be this service.
    """

    def __init__(self, app: Any, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on to the application, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), [500]

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                extra = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        refusal = self._refuse(scope)
        try:
            if refusal is not None:
                await refusal(scope, receive, send_on)
            else:
                await self._app(scope, self._limited(receive), send_on)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(status[0])).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)

    def _refuse(self, scope: MutableMapping[str, Any]) -> JSONResponse | None:
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._settings.token is None and not is_loopback(_name(host)):
            return _error(421, "this service answers only to localhost")
        if origin is not None and origin.partition("://")[2] != host:
            return _error(403, "requests from other pages are refused")
        path = scope["path"]
        if path not in OPEN and not path.startswith("/page/"):
            kind, _, shown = headers.get("authorization", "").partition(" ")
            if not self._settings.admits(shown.strip() if kind.lower() == "bearer" else None):
                return _error(401, "a token is needed: Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._settings.max_bytes:
            return _error(413, f"more than {self._settings.max_bytes:,} bytes")
        return None

    def _limited(self, receive: Receive) -> Receive:
        taken, most, seconds = [0], self._settings.max_bytes, self._settings.seconds
        end = time.monotonic() + seconds

        async def receive_on() -> Message:
            if taken[0] < 0:  # the body is complete; the next message is a disconnect, which has no time limit
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - time.monotonic()))
            except (asyncio.TimeoutError, TimeoutError) as error:
                raise HTTPException(408, f"the upload took more than {seconds:g} seconds") from error
            taken[0] += len(message.get("body", b""))
            if taken[0] > most:
                raise HTTPException(413, f"more than {most:,} bytes")
            if not message.get("more_body"):
                taken[0] = -1
            return message

        return receive_on


def _name(host: str) -> str:
    """The host name without brackets and port: ``::1`` for ``[::1]:8000``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": text}, status, headers)
