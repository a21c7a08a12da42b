"""A bounded thread pool. It refuses a request when too many others wait."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class BusyError(Exception):
    """The pool is full, or the answer took too long. The client should ask again later."""


class Pool:
    """Threads with a bounded queue.

    A call frees its place when its work ends, not when the client stops waiting. A call that takes too long therefore
    occupies one thread, and the number of threads never grows.

    Args:
        workers: number of threads.
        waiting: maximum number of calls that wait for a thread.
        seconds: maximum time that a call waits for its answer.
    """

    def __init__(self, workers: int, waiting: int, seconds: float) -> None:
        self._executor = ThreadPoolExecutor(workers, "lrface-serve")
        self._places = threading.BoundedSemaphore(workers + waiting)
        self._lock, self._seconds = threading.Lock(), seconds
        self.held = 0

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """Run a call in a thread and return its result.

        Raises:
            BusyError: the pool is full, or the time is over.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError("too many requests at once: try again")
        self._count(1)
        future = self._executor.submit(call, *arguments)
        future.add_done_callback(self._give_back)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise BusyError(f"no answer within {self._seconds:g} seconds: try again") from error

    def close(self) -> None:
        """End the threads after their current calls."""
        self._executor.shutdown(cancel_futures=True)

    def _give_back(self, _: "Future[Any]") -> None:
        self._places.release()
        self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self.held += change
