"""Work on several machines with Ray: connect, check the shared folders, run tasks, repeat the tasks of lost workers."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import atomic_write

#: How often a task is repeated after its worker was lost.
RETRIES = 5

#: Seconds between two updates of the progress.
TICK = 0.5


@contextmanager
def connected(address: str = "") -> Iterator[None]:
    """Context with a connection to a Ray cluster.

    Args:
        address: address of the cluster, as ``ray.init`` takes it. If empty, ``RAY_ADDRESS`` is used. If that is not set
            either, Ray is started on this machine alone and stopped at the end of the block.

    Raises:
        LrfaceError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise LrfaceError("--ray needs Ray: python -m pip install 'lrface[ray]', on every machine") from error
    address = address or os.environ.get("RAY_ADDRESS", "")
    options: dict[str, Any] = {"address": address} if address else {"include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level="error", **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise LrfaceError(
            f"--ray {address}: there is no such Ray cluster ({reason}); `ray status` tells more"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def check_shared(out: str | Path, sources: Sequence[str | Path]) -> None:
    """Check that every machine of the cluster sees the files that this one writes to ``out``, and the ``sources``.

    Args:
        out: a folder; it is created if necessary.
        sources: files or folders.

    Raises:
        LrfaceError: a machine does not see them; the message names the machine.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    word = secrets.token_hex(8)
    token = Path(out).resolve() / f".shared-{word}"
    with atomic_write(token, "w") as file:
        file.write(word)
    try:
        task = ray.remote(num_cpus=0)(_lacks)
        nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
        wanted = [str(Path(source).resolve()) for source in sources]
        asked = [
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(str(token), word, wanted)
            for node in nodes
        ]  # fmt: skip
        for name, lacking in zip(nodes.values(), ray.get(asked), strict=True):
            if lacking:
                raise LrfaceError(
                    f"the machine {name} of the Ray cluster does not see {lacking}: --ray needs folders that all machines "
                    "share under the same path"
                )
    finally:
        token.unlink(missing_ok=True)


def _lacks(token: str, word: str, sources: list[str]) -> str | None:
    """The first path that this machine does not see; None if it sees all."""
    path = Path(token)
    if not path.exists() or path.read_text() != word:
        return str(path.parent)
    return next((source for source in sources if not Path(source).exists()), None)


def run_tasks(
    work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], device: str = "cpu", tick: Callable[[set[int]], None] | None = None
) -> list[Any]:  # fmt: skip
    """Run ``work(*job)`` for each job as a Ray task with one core, and with a GPU if ``device`` is ``cuda``.

    If a worker or a machine is lost, its task is repeated, up to ``RETRIES`` times.

    Args:
        work: a function in a module that all machines have.
        jobs: the arguments of each call.
        device: the device of the tasks.
        tick: called every ``TICK`` seconds and at the end, with the numbers of the finished jobs.

    Returns:
        The results, in the order of the jobs.

    Raises:
        LrfaceError: a job failed, or its worker was lost too often.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    task = ray.remote(num_cpus=1, num_gpus=int(device.startswith("cuda")), max_retries=RETRIES)(work)
    results: list[Any] = [None] * len(jobs)
    done: set[int] = set()
    try:
        waiting = {task.remote(*job): number for number, job in enumerate(jobs)}
        while waiting:
            ready, _ = ray.wait(list(waiting), timeout=TICK)
            for each in ready:
                number = waiting.pop(each)
                results[number] = ray.get(each)
                done.add(number)
            if tick:
                tick(done)
    except RayTaskError as error:
        if isinstance(error.cause, LrfaceError):
            raise LrfaceError(str(error.cause)) from error
        raise LrfaceError(f"a Ray task failed: {error.cause}; repeat the command to go on") from error
    except RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise LrfaceError(f"Ray lost a task {RETRIES + 1} times ({reason}); repeat the command to go on") from error
    return results
