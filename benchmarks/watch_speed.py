"""How fast a watch is, stage by stage, and whether its memory grows with the length of a file.

    PYTHONPATH=tools python benchmarks/watch_speed.py speed work --lfw lfw/images --pairs lfw/pairsDevTest.txt
    PYTHONPATH=tools python benchmarks/watch_speed.py hour work --clip work/test-16/0000.mp4 --every 25

``speed``: 1280 x 720, three faces of 16, 28 and 40 px who cross it in eight seconds; processor time, so that whatever else the
machine does counts as little as possible, and the share of each stage by the profiler. ``hour``: a clip looped to an hour's length.
Writes benchmarks/results/watch_speed.json and watch_hour.json.
"""

import sys
import time
from cProfile import Profile
from dataclasses import replace
from pathlib import Path
from pstats import Stats
from typing import Any

import click
from make_clips import RATE, Look, lfw_people, make_clip, read_actor

import lrface
from lrface.errors import LrfaceError
from lrface.files import write_json
from lrface.recognition.encoder import FaceEncoder
from lrface.version import code_version
from lrface.video.decode import load_av
from lrface.video.options import WatchOptions
from lrface.video.sources import open_source
from lrface.video.watch import Watch

RESULTS = Path(__file__).parent / "results"
SIZE, SIDES, FRAMES = (1280, 720), (16, 28, 40), 200

#: Stage -> the functions whose processor time it is, with all that they call: file and name.
STAGES = {
    "decode": (("decode.py", "_of"), ("decode.py", "upright")),
    "detect, whole frame": (("search.py", "detect"),),
    "detect, near people": (("search.py", "detect_near"),),
    "align and assess": (("finder.py", "_cut_all"), ("finder.py", "cropped_face")),
    "embed": (("encoder.py", "embed_crops"),),
    "keep crops": (("look.py", "of"),),
    "track": (("tracking.py", "update"),),
}


@click.group()
def main() -> None:
    """Measure speed and memory."""


def follow(clip: Path, encoder: FaceEncoder, options: WatchOptions) -> dict[str, Any]:
    """Frames of the video per second by the clock and of processor time; in a second run, the share of each stage."""
    started, worked = time.perf_counter(), time.process_time()
    _watch(clip, encoder, options)
    took, work = time.perf_counter() - started, time.process_time() - worked
    profile = Profile(time.process_time)
    worked = time.process_time()
    profile.enable()
    _watch(clip, encoder, options)
    profile.disable()
    whole = time.process_time() - worked
    spent = {(Path(file).name, name): row[3] for (file, _, name), row in Stats(profile).stats.items()}  # type: ignore[attr-defined]
    shares = {stage: sum(spent.get(each, 0.0) for each in names) / whole for stage, names in STAGES.items()}
    return {
        "every": options.every,
        "search": options.search,
        "frames_a_second": FRAMES / took,
        "frames_a_second_of_work": FRAMES / work,
        "shares": {stage: round(share, 4) for stage, share in shares.items()},
    }


def _watch(clip: Path, encoder: FaceEncoder, options: WatchOptions) -> None:
    for _ in Watch(open_source(clip, print), encoder, None, options, print).run():
        pass


@main.command()
@click.argument("work", type=click.Path(path_type=Path, file_okay=False))
@click.option("--lfw", required=True, type=click.Path(path_type=Path, exists=True), help="Folder of LFW's images.")
@click.option("--pairs", required=True, multiple=True, type=click.Path(path_type=Path, exists=True), help="Lists.")
@click.option("--threads", default=1, show_default=True, help="CPU threads.")
@click.option("--min-face", type=float, default=None, help="As for lrface watch.")
@click.option("--model", multiple=True, default=("lrface",), show_default=True, help="As for lrface watch; each.")
def speed(
    work: Path, lfw: Path, pairs: tuple[Path, ...], threads: int, min_face: float | None, model: tuple[str, ...]
) -> None:
    """Time a clip of 1280 x 720 with three faces."""
    try:
        photos = [read_actor(lfw, name, names[:1]) for name, names in lfw_people(pairs, 4)[: len(SIDES)]]
        actors = [replace(actor, face=actor.face * SIDES[1] / side) for actor, side in zip(photos, SIDES, strict=True)]
        clip = work / "speed.mp4"
        if not clip.exists():
            make_clip(clip, actors, Look(SIDES[1], FRAMES), 0, SIZE)
        rows = []
        for name in model:
            encoder = FaceEncoder.load(name, turn=False, threads=threads, min_face=min_face)
            encoder.faces(next(open_source(clip, print).frames()).image)  # models are opened before time is taken
            rows += [{"model": name} | follow(clip, encoder, WatchOptions(every=every)) for every in (1, 5)]
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    result = {"rows": rows, "threads": threads, "detector": encoder.detector, "code": code_version()}
    write_json(RESULTS / "watch_speed.json", result)
    click.echo(str(rows))


def loop(clip: Path, out: Path, seconds: float) -> None:
    """Write a clip's packets again and again, without decoding them."""
    av = load_av()
    with av.open(str(clip)) as source:
        template = source.streams.video[0]
        packets = [packet for packet in source.demux(template) if packet.dts is not None]
        length = len(packets) * packets[0].duration
        start = min(packet.dts for packet in packets)
        with av.open(str(out), "w") as container:
            stream = container.add_stream_from_template(template)
            for turn in range(round(seconds / float(length * template.time_base))):
                for packet in packets:
                    copy = av.Packet(bytes(packet))
                    copy.pts, copy.dts = packet.pts - start + turn * length, packet.dts - start + turn * length
                    copy.duration, copy.time_base, copy.is_keyframe = (
                        packet.duration,
                        template.time_base,
                        packet.is_keyframe,
                    )
                    copy.stream = stream
                    container.mux(copy)


def resident() -> float:
    """Memory of this process in MB, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@main.command()
@click.argument("work", type=click.Path(path_type=Path, file_okay=False))
@click.option("--clip", required=True, type=click.Path(path_type=Path, exists=True), help="What is looped.")
@click.option("--seconds", default=3600.0, show_default=True, help="Length.")
@click.option("--every", default=25, show_default=True, type=click.IntRange(1), help="Look at every so manieth frame.")
@click.option("--min-face", type=float, default=None, help="As for lrface watch.")
def hour(work: Path, clip: Path, seconds: float, every: int, min_face: float | None) -> None:
    """Watch a looped clip, and note memory on the way."""
    work.mkdir(parents=True, exist_ok=True)
    path, out = work / "hour.mp4", work / "hour"
    if not path.exists():
        loop(clip, path, seconds)
    rows: list[dict[str, float]] = []
    ended = 0
    started, worked = time.perf_counter(), time.process_time()
    encoder = FaceEncoder.load(turn=False, threads=1, min_face=min_face)
    for event in lrface.watch(path, None, encoder, out, every=every, resume=(out / "watch.json").exists()):
        ended += event.kind == "ended"
        if not rows or event.time >= rows[-1]["seconds"] + seconds / 30:
            rows.append(
                {"seconds": event.time, "mb": resident(), "tracks": ended, "work": time.process_time() - worked}
            )
            click.echo(str(rows[-1]))
    result = {
        "seconds": seconds, "frames": round(seconds * RATE), "every": every, "memory": rows, "tracks": ended,
        "took": time.perf_counter() - started, "work": time.process_time() - worked, "at_the_end_mb": resident(),
        "journal_mb": (out / "journal.jsonl").stat().st_size / 1e6, "detector": encoder.detector, "code": code_version(),
    }  # fmt: skip
    write_json(RESULTS / "watch_hour.json", result)


if __name__ == "__main__":
    main()
