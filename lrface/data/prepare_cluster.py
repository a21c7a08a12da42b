"""Making a store on a Ray cluster, one task per shard."""

import json
import os
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
    """Make all shards of a store. Each is byte for byte the same as :func:`lrface.data.prepare.prepare` makes it.

    If a worker is lost, another one resumes its shard. If the whole command is repeated, it resumes too.

    Args:
        source, out: paths that all machines of the cluster share.
        settings, landmarks, overwrite, progress: see :func:`lrface.data.prepare.prepare`.
        shards: number of shards; fewer if there are fewer identities.
        address: see :func:`lrface.data.cluster.connected`.
        device: of the detectors; with ``cuda`` each task gets its own GPU.

    Returns:
        The summary of each shard.

    Raises:
        LrfaceError: as :func:`lrface.data.prepare.prepare`; or there is no cluster, or its machines share no folders.
    """
    from tqdm import tqdm

    images = open_source(source, landmarks)
    shards = min(shards, max(1, sum(count > 0 for _, count in images.counts())))
    sizes = [take_share(images, shard, shards).images for shard in range(shards)]
    here, out = Path.cwd(), Path(out).resolve()
    folders = [shard_folder(out, shard, shards) for shard in range(shards)]
    if overwrite:  # deleted here and not in the task, because a repeated task has to resume
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    readers = [_Journal(folder) for folder in folders]
    jobs = [(here, source, out, settings, landmarks, shard, shards, device) for shard in range(shards)]
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
    here: Path, source: str | Path, out: Path, settings: Settings, landmarks: str | Path | None, shard: int, shards: int,
    device: str,
) -> Summary:  # fmt: skip
    """Task: make a shard of a source whose path is relative to the folder ``here``."""
    if not out.is_dir():
        raise LrfaceError(
            f"a machine of the Ray cluster does not see {out}: --ray needs folders that all machines share"
        )
    os.chdir(here)  # the manifest names the source as it was given
    return prepare(source, out, settings, landmarks, shard, shards, 1, device, progress=False)


class _Journal:
    """Counts the rows of a shard that another process writes. Each call continues where the last one stopped."""

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
        except (OSError, ValueError):  # not begun, already complete, or being truncated at this moment
            pass
        return self._rows
