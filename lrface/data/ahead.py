"""Work that is done ahead of whoever uses its results."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


def in_order(
    pool: Executor, work: Callable[[Chunk], Result], chunks: Iterable[Chunk], ahead: int
) -> Generator[Result, None, None]:
    """``work(chunk)`` of chunk after chunk, in order, ``ahead`` of them in hand or done before they are asked for."""
    remaining = iter(chunks)
    waiting: deque[Future[Result]] = deque(pool.submit(work, chunk) for chunk in islice(remaining, ahead))
    while waiting:
        result = waiting.popleft().result()
        waiting.extend(pool.submit(work, chunk) for chunk in islice(remaining, 1))
        yield result
