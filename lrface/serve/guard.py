"""Checks before every route: access, size of the request, and the security headers of the answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse

from lrface.serve.metrics import Metrics
from lrface.serve.pool import RETRY_SECONDS, BusyError
from lrface.serve.settings import Settings, is_loopback

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: The page may load nothing from another server and no inline script. It may show pictures and videos of its own.
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
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
        self._open = self._held = 0  # requests, and bytes of their bodies

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on to the application, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, taken = time.perf_counter(), [500], [0]

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                extra = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        refusal = self._refuse(scope)
        self._open += 1
        try:
            if refusal is not None:
                await refusal(scope, receive, send_on)
            else:
                await self._app(scope, self._limited(scope, receive, taken), send_on)
        finally:
            self._open -= 1
            self._held -= taken[0]
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
        if self._open >= self._settings.open_requests:
            return _error(503, "too many requests at once: try again", {"retry-after": str(RETRY_SECONDS)})
        length, most = headers.get("content-length", "0"), self._limits(scope)[0]
        if not length.isdecimal() or int(length) > most:
            return _error(413, f"more than {most:,} bytes")
        return None

    def _limits(self, scope: MutableMapping[str, Any]) -> tuple[int, float]:
        """Maximum bytes and seconds of an upload. A video in a form may be larger than others, because it is kept on the disk."""
        settings = self._settings
        kind = dict(scope["headers"]).get(b"content-type", b"")
        if scope["path"] == "/watch" and kind.lower().startswith(b"multipart/form-data"):
            return settings.video_bytes, settings.video_seconds
        return settings.max_bytes, settings.seconds

    def _limited(self, scope: MutableMapping[str, Any], receive: Receive, taken: list[int]) -> Receive:
        """Wrap ``receive`` with the limits. ``taken`` counts the bytes of the body."""
        (most, seconds), whole = self._limits(scope), [False]
        end = time.monotonic() + seconds

        async def receive_on() -> Message:
            if whole[0]:  # the next message is a disconnect, which has no time limit
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - time.monotonic()))
            except (asyncio.TimeoutError, TimeoutError) as error:
                raise HTTPException(408, f"the upload took more than {seconds:g} seconds") from error
            size = len(message.get("body", b""))
            taken[0] += size
            self._held += size
            if taken[0] > most:
                raise HTTPException(413, f"more than {most:,} bytes")
            if self._held > self._settings.held_bytes:
                raise BusyError("too much is being sent at once: try again")
            whole[0] = not message.get("more_body")
            return message

        return receive_on


def _name(host: str) -> str:
    """The host name without brackets and port: ``::1`` for ``[::1]:8000``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": text}, status, headers)
