"""The records of a run: JSON lines, TensorBoard, a progress bar."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import atomic_write, require_path


class RunLog:
    """Writes ``log.jsonl`` and TensorBoard events and shows the progress bar; does nothing except in the first process.

    Args:
        folder: of the run.
        images: number of images of the whole run, for the remaining time.
        done: number of images before a resume.
        steps: first step of a resumed run; later lines are removed, because these steps are repeated.
        active: True in the first process.
    """

    def __init__(self, folder: Path, images: int, done: int, steps: int, active: bool) -> None:
        self._active = active
        if not active:
            return
        from torch.utils.tensorboard import SummaryWriter
        from tqdm import tqdm

        path = folder / "log.jsonl"
        _cut(path, steps)
        self._file = open(path, "a")  # noqa: SIM115 (closed in __exit__)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=steps)
        self._bar = tqdm(total=images, initial=done, unit="img", smoothing=0.02, dynamic_ncols=True)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._active:
            self._bar.close()
            self._board.close()
            self._file.close()

    def advance(self, images: int) -> None:
        """Advance the progress bar after a step."""
        if self._active:
            self._bar.update(images)

    def write(self, kind: str, step: int, values: dict[str, float], **facts: Any) -> None:
        """Record numbers after ``step`` steps. ``kind`` is ``train`` or ``validation``."""
        if not self._active:
            return
        self._file.write(json.dumps({"kind": kind, "step": step, **facts, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()} | facts, refresh=False)

    def message(self, text: str) -> None:
        """Print a line above the progress bar."""
        if self._active:
            self._bar.write(text)


def read_log(folder: str | Path) -> list[dict[str, Any]]:
    """Read the lines of a run's log. Raises LrfaceError if there is none or it is damaged."""
    path = Path(require_path(folder)) / "log.jsonl"
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise LrfaceError(f"cannot read the log {path}: {error}") from error


def _cut(path: Path, steps: int) -> None:
    """Keep the lines up to ``steps``. A line that a crash left incomplete is removed too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= steps:
                kept.append(line + "\n")
        except ValueError:
            break
    with atomic_write(path, "w") as file:
        file.write("".join(kept))
