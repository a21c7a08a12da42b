"""``lrface serve`` under load for minutes: does its memory stay flat, and how long do answers take?

The service runs as its own process on loopback, with its defaults. So many clients ask it all the time: they verify, find, embed,
search, enrol and erase, so that the gallery stays about as large. Every five seconds the service's resident memory is read.

    python benchmarks/serve_soak.py PHOTOS --minutes 10
"""

import itertools
import os
import platform
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import click
import httpx
import numpy as np

from lrface.files import write_json
from lrface.version import code_version

RESULTS = Path(__file__).parent / "results"

#: What clients ask, and how often of ten times.
MIX = {"verify": 3, "search": 3, "embed": 2, "faces": 1, "enrol and erase": 1}

#: Seconds between two looks at the memory; seconds at the start that do not count for its slope.
TICK, WARM_UP = 5.0, 60.0


class Load:
    """Clients of a service, and what they see.

    Attributes:
        seconds: kind of request -> how long each answer took that was one.
        statuses: how many answers had which.
    """

    def __init__(self, url: str, photos: list[bytes], end: float) -> None:
        self._url, self._photos, self._end = url, photos, end
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.statuses: Counter[str] = Counter()

    def run(self, seed: int) -> None:
        """One client, until the end."""
        rng = random.Random(seed)
        kinds = [kind for kind, count in MIX.items() for _ in range(count)]
        with httpx.Client(base_url=self._url, timeout=300) as client:
            while time.monotonic() < self._end:
                self._ask(client, rng.choice(kinds), rng.choice(self._photos), rng.choice(self._photos))

    def watch(self, video: bytes) -> None:
        """A client that has one video watched after the other."""
        with httpx.Client(base_url=self._url, timeout=1000) as client:
            while time.monotonic() < self._end:
                self._timed("watch", lambda: client.post("/watch", files={"video": video}))

    def _ask(self, client: httpx.Client, kind: str, a: bytes, b: bytes) -> None:
        if kind == "verify":
            self._timed(kind, lambda: client.post("/verify", files={"a": a, "b": b}, data={"crops": "true"}))
        elif kind == "enrol and erase":
            name = f"somebody {next(self._numbers)}"
            if self._timed(
                "enrol", lambda: client.post("/people", files={"image": a}, data={"name": name, "force": "true"})
            ):
                self._timed("erase", lambda: client.delete(f"/people/{name}"))
        else:
            self._timed(kind, lambda: client.post(f"/{kind}", files={"image": a}))

    def _timed(self, kind: str, ask: Any) -> bool:
        """Ask until the service has a place, and note how long the answer took that it then gave."""
        while True:
            begun = time.monotonic()
            answer = ask()
            with self._lock:
                self.statuses[f"{kind} {answer.status_code}"] += 1
                if answer.status_code != 503:
                    self.seconds[kind].append(time.monotonic() - begun)
                    return bool(answer.status_code == 200)
            time.sleep(float(answer.headers["retry-after"]))
            if time.monotonic() > self._end:
                return False


def resident(process: int) -> float:
    """MiB that a process has in memory."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def wait(url: str, server: subprocess.Popen[bytes]) -> None:
    """Until the service answers."""
    while server.poll() is None:
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise click.ClickException("the service did not start")


def soak(photos: list[bytes], people: int, video: bytes | None, minutes: float, clients: int) -> dict[str, Any]:
    """Start a service, load it, and measure."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        command = [
            sys.executable,
            "-m",
            "lrface",
            "serve",
            "--gallery",
            f"{folder}/people",
            "--port",
            str(port),
            "--seconds",
            "120",
        ]
        with subprocess.Popen(command) as server:
            url = f"http://127.0.0.1:{port}"
            try:
                wait(url, server)
                for number, photo in enumerate(photos[:people]):
                    fields = {"name": f"person {number}", "force": "true"}
                    httpx.post(f"{url}/people", files={"image": photo}, data=fields, timeout=300)
                return _load(url, server, photos, video, minutes, clients) | {"clients": clients, "people": people}
            finally:
                server.terminate()


def _load(
    url: str, server: subprocess.Popen[bytes], photos: list[bytes], video: bytes | None, minutes: float, clients: int
) -> dict[str, Any]:
    begun = time.monotonic()
    load = Load(url, photos, begun + 60 * minutes)
    threads = [threading.Thread(target=load.run, args=(seed,)) for seed in range(clients)]
    if video is not None:
        threads.append(threading.Thread(target=load.watch, args=(video,)))
    for thread in threads:
        thread.start()
    memory = []
    while any(thread.is_alive() for thread in threads):
        memory.append((time.monotonic() - begun, resident(server.pid)))
        time.sleep(TICK)
    took = time.monotonic() - begun
    times, sizes = np.array([row for row in memory if row[0] >= WARM_UP] or memory).T
    answers = {kind: len(seconds) for kind, seconds in load.seconds.items()}
    return {
        "minutes": round(took / 60, 2),
        "answers": answers,
        "a_second": round(sum(answers.values()) / took, 2),
        "milliseconds": {kind: _quantiles(seconds) for kind, seconds in load.seconds.items()},
        "statuses": dict(sorted(load.statuses.items())),
        "memory_mib": [[round(at), round(size)] for at, size in memory[:: max(1, len(memory) // 60)]],
        "slope_mib_a_minute": round(float(np.polyfit(times / 60, sizes, 1)[0]), 2),
        "least_and_most_mib": [round(float(sizes.min())), round(float(sizes.max()))],
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }  # fmt: skip


def _quantiles(seconds: list[float]) -> dict[str, int]:
    shares = {"p50": 0.5, "p99": 0.99, "most": 1.0}
    return {name: round(1000 * float(np.quantile(seconds, share))) for name, share in shares.items()}


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--count", default=200, show_default=True, help="Photos of the folder to use.")
@click.option("--people", default=50, show_default=True, help="People enrolled beforehand.")
@click.option(
    "--video",
    type=click.Path(exists=True, path_type=Path),
    default=None,
    help="One client has it watched all the time.",
)
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--clients", default=4, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "serve.json", show_default=True)
def main(photos: Path, count: int, people: int, video: Path | None, minutes: float, clients: int, out: Path) -> None:
    """Measure, write OUT, and print the times as a table."""
    paths = sorted(photos.rglob("*.jpg"))
    chosen = [path.read_bytes() for path in paths[:: max(1, len(paths) // count)]][:count]
    result = soak(chosen, people, None if video is None else video.read_bytes(), minutes, clients)
    facts = {"code": code_version(), "machine": f"{platform.machine()}, {os.cpu_count()} cores", "photos": len(chosen)}
    write_json(out, facts | {"video": None if video is None else video.name} | result)
    click.echo(table(result))


def table(result: dict[str, Any]) -> str:
    """The answers' times as Markdown."""
    lines = ["| request | answers | p50 ms | p99 ms | most ms |", "|---|---|---|---|---|"]
    for kind, row in sorted(result["milliseconds"].items()):
        lines.append(f"| {kind} | {result['answers'][kind]:,} | {row['p50']:,} | {row['p99']:,} | {row['most']:,} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
