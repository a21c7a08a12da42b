"""Fuzz the image reader: damaged files of every format are read in a process that may crash.

    python tools/fuzz_images.py --inputs 20000 --seed 0 --seed 1 --out benchmarks/results/fuzz.json
    python tools/fuzz_images.py fuzz_failures/*

Each input is read from memory and from a file. Both must give the same pixels, or the same one-line error. Anything else is a
failure: another exception, a crash of the process, more than 2 s, or more memory than the limit. The time is processor time, so
that a busy machine does not cause a false hang. Failing inputs are stored. They can be made again from seed and number.

The mutations are our own (``fuzz_mutations.py``). Atheris needs decoders that are built with clang's instrumentation, which no
wheel has. Hypothesis shrinks small values and does not know the lengths and checksums of file formats, at which decoders fail.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
from fuzz_samples import largest, samples
from fuzz_worker import FAILURES, MEMORY, READ, REFUSED, SECONDS, Outcome, spoilt, work

from lrface.files import atomic_write, write_json
from lrface.version import code_version

#: Processor seconds after which a reading counts as a hang. Its process is then killed.
HANG = 20.0

Task = bytes | tuple[int, int]


class Worker:
    """A process that reads images. It is started again after a crash."""

    def __init__(self) -> None:
        self._connection: Connection
        self._process: Any = None

    def ask(self, task: Task) -> Outcome:
        """Read one input, and return the outcome."""
        if self._process is None:
            self._start()
        self._connection.send(task)
        began, spent = time.monotonic(), processor_seconds(self._process.pid)
        while not self._connection.poll(0.5):
            taken = processor_seconds(self._process.pid) - spent
            if taken > HANG or time.monotonic() - began > 30 * HANG:
                self._process.kill()
                self._forget()
                return Outcome("hang", f"killed after {taken:.0f} s", taken)
        try:
            outcome: Outcome = self._connection.recv()
        except (EOFError, ConnectionError):
            status = self._forget()
            name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
            return Outcome("crash", f"the process died: {name}")
        return outcome

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._connection.send(None)
            self._forget()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # spawn: the process has only what it needs in memory
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def _forget(self) -> int:
        self._process.join()
        status: int = self._process.exitcode
        self._connection.close()
        self._process = None
        return status


def processor_seconds(pid: int) -> float:
    """Processor seconds of all threads of a process so far, in user and system mode."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # the process has ended; its connection reports that too
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def outcomes(tasks: Iterable[tuple[str, Task]]) -> Iterator[tuple[str, Task, Outcome]]:
    """Read all inputs: name, task and outcome of each."""
    worker = Worker()
    try:
        for name, task in tasks:
            yield name, task, worker.ask(task)
    finally:
        worker.close()


def fuzz(inputs: int, seeds: tuple[int, ...], failures: Path, progress: bool = True) -> dict[str, Any]:
    """Read ``inputs`` damaged files for each seed. Failing inputs are written to the folder ``failures``.

    Returns:
        Counts per format, and the failures.
    """
    from tqdm import tqdm

    valid = samples()
    tasks: list[tuple[int, int]] = [(seed, number) for seed in seeds for number in range(inputs)]
    named = ((spoilt(valid, *task)[0], task) for task in tqdm(tasks, unit="file", disable=None if progress else True))
    formats: dict[str, dict[str, Any]] = {}
    found: list[dict[str, Any]] = []
    for name, task, outcome in outcomes(named):
        row = formats.setdefault(name.split()[0], _empty())
        row["inputs"] += 1
        row[outcome.kind] += 1
        row["slowest_s"] = max(row["slowest_s"], round(outcome.seconds, 3))
        row["peak_mb"] = max(row["peak_mb"], round(outcome.peak / 1e6, 1))
        row["resting_mb"] = max(row["resting_mb"], round(outcome.resting / 1e6, 1))
        if outcome.kind in FAILURES:
            seed, number = task
            failures.mkdir(parents=True, exist_ok=True)
            file = failures / f"{outcome.kind}-{name.split()[0].lower()}-seed{seed}-{number}"
            file.write_bytes(spoilt(valid, seed, number)[1])
            found.append({"file": file.name, "sample": name, **outcome._asdict()})
    return {"formats": dict(sorted(formats.items())), "failures": found}


def measure_largest() -> dict[str, dict[str, Any]]:
    """Time and memory of the largest images. They are valid, and may need more time than damaged ones."""
    return {
        name: {"kind": outcome.kind, "seconds": round(outcome.seconds, 2), "peak_mb": round(outcome.peak / 1e6)}
        for name, _, outcome in outcomes(largest())
    }


def _empty() -> dict[str, Any]:
    return {
        "inputs": 0,
        **dict.fromkeys((READ, REFUSED, *FAILURES), 0),
        "slowest_s": 0.0,
        "peak_mb": 0.0,
        "resting_mb": 0.0,
    }


def table(result: dict[str, Any]) -> str:
    """The counts as Markdown."""
    columns = ("inputs", READ, REFUSED, "failures", "slowest, s", "peak, MB")
    lines = [f"| format | {' | '.join(columns)} |", "|" + "---|" * (len(columns) + 1)]
    rows = list(result["formats"].items())
    total = {key: sum(row[key] for _, row in rows) for key in ("inputs", READ, REFUSED, *FAILURES)}
    total |= {key: max((row[key] for _, row in rows), default=0) for key in ("slowest_s", "peak_mb", "resting_mb")}
    for name, row in [*rows, ("all", total)]:
        failed = sum(row[kind] for kind in FAILURES)
        lines.append(
            f"| {name} | {row['inputs']:,} | {row[READ]:,} | {row[REFUSED]:,} | {failed:,} | "
            f"{row['slowest_s']:.2f} | {row['peak_mb']:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def largest_table(largest: dict[str, dict[str, Any]]) -> str:
    """Time and memory of the largest images, as Markdown."""
    lines = ["| image | seconds | peak, MB |", "|---|---|---|"]
    lines += [f"| {name} | {row['seconds']:.2f} | {row['peak_mb']:,} |" for name, row in largest.items()]
    return "\n".join(lines) + "\n"


def report(result: dict[str, Any]) -> str:
    """The report that is committed with the figures."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    seeds = " and ".join(map(str, result["seeds"]))
    return (
        f"# The image reader, fuzzed\n\n{result['inputs']:,} spoilt files a seed, seeds {seeds}; {versions}. Each was read from "
        "memory and from a file: the same pixels, or the same one line of refusal. A failure would be another exception, a\n"
        f"dead process, more than {SECONDS:g} s of processor time (the machine was busy, so that the clock on the wall tells "
        f"nothing), or more than {MEMORY / 1e6:,.0f} MB.\n\n{table(result)}\n"
        "Slowest: processor time of one reading. Peak: memory that one input took above what the process held.\n\n"
        "Valid images of 10,000 x 10,000 pixels, the most that is read, one colour, in files of 75 to 1,600 kB:\n\n"
        f"{largest_table(result['largest'])}\n    {result['command']}\n"
    )


def replay(files: tuple[str, ...]) -> bool:
    """Read files under the same limits, and print the outcomes. Returns whether there is no failure."""
    well = True
    for name, _, outcome in outcomes((file, Path(file).read_bytes()) for file in files):
        click.echo(f"{name}: {outcome.kind} {outcome.message} ({outcome.seconds:.2f} s, {outcome.peak / 1e6:.0f} MB)")
        well &= outcome.kind not in FAILURES
    return well


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decode images."""
    import cv2
    import PIL
    from PIL import features

    parts = {"libjpeg-turbo": "libjpeg_turbo", "libwebp": "webp", "libtiff": "libtiff", "zlib-ng": "zlib_ng"}
    found = {name: features.version(part) for name, part in parts.items()}
    return {
        "Pillow": PIL.__version__,
        "OpenCV": cv2.__version__,
        **{name: text for name, text in found.items() if text},
    }


@click.command()
@click.option("--inputs", default=20_000, show_default=True, type=click.IntRange(1), help="How many for each seed.")
@click.option("--seed", "seeds", multiple=True, default=(0,), type=int, help="May be given several times.")
@click.option("--out", type=click.Path(dir_okay=False), default=None, help="FILE.json; FILE.md is written beside it.")
@click.option("--failures", default="fuzz_failures", show_default=True, help="Folder for inputs that fail.")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False))
def main(inputs: int, seeds: tuple[int, ...], out: str | None, failures: str, files: tuple[str, ...]) -> None:
    """Fuzz the image reader, or read FILES under the same limits; exit status 1 if anything fails."""
    if files:
        sys.exit(0 if replay(files) else 1)
    result = {
        "inputs": inputs, "seeds": list(seeds), "code": code_version(), "versions": library_versions(),
        "limits": {"processor_s": SECONDS, "memory_mb": MEMORY / 1e6},
        "command": " ".join(["python tools/fuzz_images.py", f"--inputs {inputs}", *(f"--seed {seed}" for seed in seeds)]),
        **fuzz(inputs, seeds, Path(failures)), "largest": measure_largest(),
    }  # fmt: skip
    if out:
        write_json(out, result)
        with atomic_write(Path(out).with_suffix(".md"), "w") as file:
            file.write(report(result))
    click.echo(table(result) + "\n" + largest_table(result["largest"]))
    for failure in result["failures"][:20]:
        click.echo(f"{failure['file']}: {failure['message'][:300]}")
    sys.exit(1 if result["failures"] else 0)


if __name__ == "__main__":
    main()
