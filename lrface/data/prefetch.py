"""A parallel map that computes results ahead of the consumer."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


def prefetched_map(
    pool: Executor, work: Callable[[Chunk], Result], chunks: Iterable[Chunk], prefetch: int
) -> Generator[Result, None, None]:
    """Yield ``work(chunk)`` for each chunk, in order, with ``prefetch`` results computed ahead."""
    remaining = iter(chunks)
    waiting: deque[Future[Result]] = deque(pool.submit(work, chunk) for chunk in islice(remaining, prefetch))
    while waiting:
        result = waiting.popleft().result()
        waiting.extend(pool.submit(work, chunk) for chunk in islice(remaining, 1))
        yield result
