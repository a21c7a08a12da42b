"""A bounded pool: so many requests are worked on, so many wait, and the next one is told to come back."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


#: When a client that is told to come back should.
RETRY_SECONDS = 2


class BusyError(Exception):
    """No place is free, or the answer took too long: to be asked again later.

    Args:
        text: for people.
        retry: seconds after which to come back.
    """

    def __init__(self, text: str, retry: int = RETRY_SECONDS) -> None:
        super().__init__(text)
        self.retry = retry


class Pool:
    """Threads with a bounded queue.

    A place is given back when its work ends, not when the one who asked stops waiting: work that takes too long can hold
    its own thread, and never more than there are.

    Args:
        workers: threads.
        waiting: how many calls may wait for one.
        seconds: the most that a call waits for its answer; None: the call itself ends in time.
        busy: what is told when no place is free.
        retry: after how many seconds to come back then.
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
        """The call's result.

        Raises:
            BusyError: no place is free, or the time is up.
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
        """End the threads, once their work is done."""
        self._executor.shutdown(cancel_futures=True)

    def _give_back(self, _: "Future[Any]") -> None:
        self._places.release()
        self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self.held += change
