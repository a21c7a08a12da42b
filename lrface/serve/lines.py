"""Answers that are sent line by line while the work goes on."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from lrface.errors import LrfaceError
from lrface.serve.pool import Pool

#: Media type of an answer with one JSON object per line.
NDJSON = "application/x-ndjson"

Line = dict[str, Any]


async def follow(pool: Pool, work: Callable[..., None], *arguments: Any) -> AsyncGenerator[Line, None]:
    """Run ``work(*arguments, tell, stopped)`` in a thread of the pool and yield the lines that it reports.

    Args:
        pool: the threads.
        work: calls ``tell`` with each line. It must end soon when ``stopped()`` is true: the client has gone.
        arguments: the first arguments of ``work``.

    Raises:
        BusyError: the pool is full.
        LrfaceError: ``work`` raised it.
    """
    lines: asyncio.Queue[Line | None] = asyncio.Queue()
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def tell(line: Line) -> None:
        if not stop.is_set():
            loop.call_soon_threadsafe(lines.put_nowait, line)

    task = asyncio.create_task(pool.run(work, *arguments, tell, stop.is_set))
    task.add_done_callback(lambda _: lines.put_nowait(None))
    try:
        while (line := await lines.get()) is not None:
            yield line
        await task
    finally:
        stop.set()
        if not task.done():
            task.add_done_callback(_forget)


async def as_ndjson(first: Line, rest: AsyncGenerator[Line, None]) -> AsyncIterator[bytes]:
    """Encode the lines. An error becomes the last line, because the status has already been sent."""
    try:
        yield _encode(first)
        async for line in rest:
            yield _encode(line)
    except LrfaceError as error:
        yield _encode({"kind": "error", "error": str(error)})
    finally:
        await rest.aclose()


def _encode(line: Line) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _forget(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()  # fetched, or asyncio logs that nobody did
