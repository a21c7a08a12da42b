"""A store made by a Ray cluster: each shard is a task."""

import json
import shutil
from pathlib import Path

from lrface.data.cluster import check_shared, connected, run_tasks
from lrface.data.crop import Settings
from lrface.data.journal import JOURNAL_FILE
from lrface.data.prepare import Summary, prepare
from lrface.data.sources import open_source, take_share
from lrface.data.store import shard_folder
from lrface.errors import LrfaceError


def prepare_on_ray(
    source: str | Path,
    out: str | Path,
    settings: Settings,
    landmarks: str | Path | None = None,
    shards: int = 16,
    address: str = "",
    device: str = "cpu",
    overwrite: bool = False,
    progress: bool = True,
) -> list[Summary]:
    """Make all shards of a store; each is, byte for byte, what :func:`lrface.data.prepare.prepare` makes of it.

    A shard whose worker was lost goes on where it was, on another one; so does the whole command if it is repeated.

    Args:
        source, out: under paths that all machines of the cluster share.
        settings, landmarks, overwrite, progress: see :func:`lrface.data.prepare.prepare`.
        shards: how many; fewer if there are fewer identities.
        address: see :func:`lrface.data.cluster.connected`.
        device: for the detectors; each task with ``cuda`` gets a GPU of its own.

    Raises:
        LrfaceError: as :func:`lrface.data.prepare.prepare`; or there is no cluster, or its machines share no folders.
    """
    from tqdm import tqdm

    images = open_source(source, landmarks)
    shards = min(shards, max(1, sum(count > 0 for _, count in images.counts())))
    sizes = [take_share(images, shard, shards).images for shard in range(shards)]
    source, out = Path(source).resolve(), Path(out).resolve()
    landmarks = None if landmarks is None else Path(landmarks).resolve()
    folders = [shard_folder(out, shard, shards) for shard in range(shards)]
    if overwrite:  # here, for a task that is done again has to go on where it was
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    readers = [_Journal(folder) for folder in folders]
    jobs = [(source, out, settings, landmarks, shard, shards, device) for shard in range(shards)]
    with (
        connected(address),
        tqdm(
            total=sum(sizes), unit="img", smoothing=0.05, desc=f"prepare {shards} shards", disable=not progress
        ) as bar,
    ):
        check_shared(out, [source, *([landmarks] if landmarks else [])])

        def tick(done: set[int]) -> None:
            rows = [size if at in done else min(readers[at].rows(), size) for at, size in enumerate(sizes)]
            bar.update(sum(rows) - bar.n)

        return run_tasks(_shard, jobs, device, tick)


def _shard(
    source: Path, out: Path, settings: Settings, landmarks: str | Path | None, shard: int, shards: int, device: str,
) -> Summary:  # fmt: skip
    if not out.is_dir():
        raise LrfaceError(
            f"a machine of the Ray cluster does not see {out}: --ray needs folders that all machines share"
        )
    return prepare(source, out, settings, landmarks, shard, shards, 1, device, progress=False)


class _Journal:
    """Counts the rows of a shard that somebody else writes, reading on where it was."""

    def __init__(self, folder: Path) -> None:
        self._path, self._at, self._rows = folder / JOURNAL_FILE, 0, 0

    def rows(self) -> int:
        try:
            with open(self._path, "rb") as file:
                file.seek(self._at)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._at += len(line)
                    self._rows += len(json.loads(line).get("rows", ()))  # the header has none
        except (OSError, ValueError):  # not begun, complete, or cut off at this moment
            pass
        return self._rows
