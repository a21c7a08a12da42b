"""``lrface watch``."""

import json
from typing import Any

import click

from lrface.cli.options import DEVICE, ENCODER_DETECTOR, MIN_FACE, MODEL, RUNTIME, SHARP, THREADS, FilePath

#: Number of frames that a GPU searches at once.
GPU_BATCH = 8


@click.command("watch")
@click.argument("source")
@click.option(
    "--gallery", "folder", envvar="LRFACE_GALLERY", default=None, type=FilePath(), show_default="LRFACE_GALLERY, else none",
    help="Folder of a gallery whose people are recognised, or postgresql://USER@HOST/DATABASE. Without it, everybody is "
    "unknown.",
)  # fmt: skip
@click.option("--out", type=FilePath(file_okay=False), default=None, help="Folder for tracks, crops and the report.")
@click.option("--video", is_flag=True, help="Also write a video with boxes and names: OUT/video.mp4.")
@click.option("--no-faces", is_flag=True, help="Write no picture that shows a face.")
@click.option("--resume", is_flag=True, help="Continue an interrupted watch of this file in OUT.")
@click.option("--every", default=1, show_default=True, type=click.IntRange(1), help="Process only every N-th frame.")
@click.option(
    "--search", default=None, type=click.FloatRange(0, 60), metavar="SECONDS", show_default="0.5; on a GPU 0",
    help="Time between two searches of the whole frame. In between, faces are looked for only where the tracked people should "
    "be. 0: every frame is searched whole.",
)  # fmt: skip
@click.option(
    "--realtime", is_flag=True, help="Drop frames if processing is too slow; always on for cameras and streams."
)
@click.option(
    "--far", default=0.001, show_default=True,
    help="False accept rate of one comparison, within the range that the model was calibrated for.",
)  # fmt: skip
@click.option("--threshold", type=click.FloatRange(-1, 1), default=None, help="Cosine threshold instead of --far.")
@click.option(
    "--patience", default=2.0, show_default=True, type=click.FloatRange(0.05, 3600), metavar="SECONDS",
    help="How long a person may be out of sight within one track.",
)  # fmt: skip
@click.option(
    "--looks", default=3, show_default=True, type=click.IntRange(1), help="Minimum number of detected faces of a track."
)
@click.option(
    "--timeout", default=10.0, show_default=True, type=click.FloatRange(0.1, 3600), metavar="SECONDS",
    help="How long a stream may take to answer.",
)  # fmt: skip
@ENCODER_DETECTOR
@MIN_FACE
@MODEL
@SHARP
@DEVICE
@RUNTIME
@THREADS
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each event.")
def command(
    source: str, folder: str | None, out: str | None, video: bool, no_faces: bool, resume: bool, as_json: bool,
    detector: str, min_face: float | None, model: str | None, sharp: tuple[str, ...], device: str, runtime: str,
    threads: int | None, search: float | None, **options: Any,
) -> None:  # fmt: skip
    """Follow the faces of SOURCE and tell who they are: a video, a folder of frames, a camera's number, or a URL.

    A line is printed when a person has left: name or unknown, from, to, detected faces, similarity, risk. Ctrl-C ends the
    watch of a camera. The watch of a file can be continued with --resume.
    """
    from lrface.recognition.encoder import FaceEncoder
    from lrface.runtimes.session import cuda_available
    from lrface.video.watch import watch

    if search is not None:
        options["search"] = search
    if device.startswith("cuda") and cuda_available() and not search:
        options |= {"search": 0.0, "batch": GPU_BATCH}
    encoder = FaceEncoder.load(model, detector, None, device, runtime, threads, min_face, turn=False, sharp=sharp)
    count = 0
    for event in watch(
        source, folder, encoder, out, log=_note, resume=resume, faces=not no_faces, video=video, progress=not as_json, **options
    ):  # fmt: skip
        count += event.kind == "ended"
        if as_json:
            click.echo(json.dumps({"event": event.kind, "time": round(event.time, 3)} | event.person.as_dict()))
        else:
            _tell(event)
    if not as_json:
        click.echo(f"{count} {'track' if count == 1 else 'tracks'}" + (f"; see {out}/report.html" if out else ""))


def _note(line: str) -> None:
    click.echo(f"note: {line}", err=True)


def _tell(event: Any) -> None:
    from lrface.recognition.gallery.risk import percent
    from lrface.video.report import clock

    person = event.person
    if event.kind != "ended":
        was = "is" if event.kind == "named" else "is now"
        click.echo(f"{clock(event.time)}  track {person.track} {was} {person.name or 'unknown'}", err=True)
        return
    text = f"{person.name or 'unknown'}: {clock(person.start)} to {clock(person.end)}, {person.faces} looks"
    if person.similarity is not None:
        nearest = "" if person.name else f"nearest {person.nearest}, "
        text += f", {nearest}similarity {person.similarity:.4f}, threshold {person.threshold:.4f}"
    if person.risk is not None:
        text += f", risk of a stranger {percent(person.risk)}"
    click.echo(text)
