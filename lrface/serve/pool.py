"""A bounded pool: so many requests are worked on, so many wait, and the next one is told to come back."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class BusyError(Exception):
    """No place is free, or the answer took too long: to be asked again later."""


class Pool:
    """Threads with a bounded queue.

    A place is given back when its work ends, not when the one who asked stops waiting: work that takes too long can hold
    its own thread, and never more than there are.

    Args:
        workers: threads.
        waiting: how many calls may wait for one.
        seconds: the most that a call waits for its answer.
    """

    def __init__(self, workers: int, waiting: int, seconds: float) -> None:
        self._executor = ThreadPoolExecutor(workers, "lrface-serve")
        self._places = threading.BoundedSemaphore(workers + waiting)
        self._lock, self._seconds = threading.Lock(), seconds
        self.held = 0

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """The call's result.

        Raises:
            BusyError: no place is free, or the time is up.
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
        """End the threads, once their work is done."""
        self._executor.shutdown(cancel_futures=True)

    def _give_back(self, _: "Future[Any]") -> None:
        self._places.release()
        self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self.held += change
