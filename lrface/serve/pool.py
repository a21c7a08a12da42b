"""A bounded thread pool. It refuses a request when too many others wait."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


#: Seconds after which a refused client should ask again (the Retry-After header).
RETRY_SECONDS = 2


class BusyError(Exception):
    """The pool is full, or the answer took too long. The client should ask again later.

    Args:
        text: the message.
        retry: seconds after which the client should ask again.
    """

    def __init__(self, text: str, retry: int = RETRY_SECONDS) -> None:
        super().__init__(text)
        self.retry = retry


class Pool:
    """Threads with a bounded queue.

    A call frees its place when its work ends, not when the client stops waiting. A call that takes too long therefore
    occupies one thread, and the number of threads never grows.

    Args:
        workers: number of threads.
        waiting: maximum number of calls that wait for a thread.
        seconds: maximum time that a call waits for its answer; None: no limit.
        busy: the message when the pool is full.
        retry: seconds after which a client should ask again then.
    """

    def __init__(
        self, workers: int, waiting: int, seconds: float | None, busy: str = "too many requests at once",
        retry: int = RETRY_SECONDS,
    ) -> None:  # fmt: skip
        self._executor = ThreadPoolExecutor(workers, "lrface-serve")
        self._places = threading.BoundedSemaphore(workers + waiting)
        self._lock, self._seconds = threading.Lock(), seconds
        self._busy, self._retry = busy, retry
        self.held = 0

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """Run a call in a thread and return its result.

        Raises:
            BusyError: the pool is full, or the time is over.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError(f"{self._busy}: try again", self._retry)
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
