"""The process of ``tools/fuzz_images.py`` that reads images. It may crash, hang or use too much memory."""

import hashlib
import re
import resource
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from fuzz_mutations import mutate
from fuzz_samples import samples

from lrface.errors import LrfaceError
from lrface.faces.images import MAX_PIXELS, MAX_SIDE, read_image

#: Maximum processor seconds of one reading.
SECONDS = 2.0

#: Maximum bytes of one reading: 25 for each pixel of the largest image. WebP's decoder alone needs 16 without copies.
MEMORY = 25 * MAX_PIXELS

READ, REFUSED = "read", "refused"
FAILURES = ("exception", "unclear", "disagreement", "slow", "memory", "hang", "crash")

#: Name of every input in errors, so that the errors from memory and from a file can be compared.
NAME = "input"


class Outcome(NamedTuple):
    """The outcome of reading one input.

    Attributes:
        kind: ``READ``, ``REFUSED`` or one of ``FAILURES``.
        message: the error; empty if there was none.
        seconds: processor time of the slower of the two readings.
        peak: maximum memory in bytes during the readings, above ``resting``.
        resting: memory of the process in bytes before.
    """

    kind: str
    message: str
    seconds: float = 0.0
    peak: int = 0
    resting: int = 0


def spoilt(valid: dict[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """Input ``number`` of the run ``seed``: the name of its sample, and its bytes."""
    rng = Random(f"{seed} {number}")
    name, other = rng.choice(list(valid)), rng.choice(list(valid))
    return name, mutate(valid[name], valid[other], rng)


def work(connection: Connection) -> None:
    """Answer every task, ``(seed, number)`` or ``bytes``, with an :class:`Outcome`, until None is received."""
    valid = samples()
    read_image(valid["JPEG baseline"])  # imports all modules before memory is measured
    limit = status("VmSize") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, NAME)
        while (task := connection.recv()) is not None:
            data = task if isinstance(task, bytes) else spoilt(valid, *task)[1]
            path.write_bytes(data)
            connection.send(judge(data, path))


def judge(data: bytes, path: Path) -> Outcome:
    """Read an input from memory and from a file, and compare the results."""
    resting = _reset_peak()
    outcomes = [_read(source) for source in (data, path)]
    peak, seconds = max(0, status("VmHWM") - resting), max(seconds for *_, seconds in outcomes)
    (kind, message, pixels, _), (other_kind, other_message, others, _) = outcomes
    if kind == REFUSED and "does not fit into memory" in message:
        kind = "memory"
    elif kind in (READ, REFUSED):
        if (kind, message, pixels) != (other_kind, other_message, others):
            kind, message = "disagreement", f"{message or kind}; from a file: {other_message or other_kind}"
        elif seconds > SECONDS:
            kind = "slow"
        elif peak > MEMORY:
            kind = "memory"
    return Outcome(kind, message, seconds, peak, resting)


def _read(source: bytes | Path) -> tuple[str, str, str, float]:
    """Read an image. Returns kind, message, digest of the pixels, and processor seconds."""
    began = time.process_time()
    try:
        pixels = read_image(source, NAME)
    except LrfaceError as error:
        text = str(error)
        kind = REFUSED if text.startswith(NAME) or f" {NAME}" in text else "unclear"
        kind = kind if "\n" not in text and text.isprintable() and len(text) <= 300 else "unclear"
        return kind, text, "", time.process_time() - began
    except BaseException as error:  # every exception is a finding here
        return "exception", f"{type(error).__name__}: {error}", "", time.process_time() - began
    seconds = time.process_time() - began
    whole = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0
    if not whole or max(pixels.shape) > MAX_SIDE or pixels.size > 3 * MAX_PIXELS:
        return "exception", f"no image: {pixels.dtype} {pixels.shape}", "", seconds
    return READ, "", f"{pixels.shape} {hashlib.sha256(pixels.data).hexdigest()}", seconds


def status(key: str) -> int:
    """A number of bytes from the status of this process in Linux: ``VmSize``, ``VmRSS``, ``VmHWM`` (the peak of ``VmRSS``)."""
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(found.group(1)) if found else 0


def _reset_peak() -> int:
    """Reset the peak of the memory. Returns the current memory in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")
