"""``lrface serve``."""

from pathlib import Path
from typing import Any

import click

from lrface.cli.gallery.options import GALLERY, enrol_options
from lrface.cli.options import FilePath


@click.command("serve")
@GALLERY
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; others than loopback need a token."
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option(
    "--token-file", type=FilePath(dir_okay=False), default=None,
    help="File with the token that requests must have.  [default: LRFACE_TOKEN, else none]",
)  # fmt: skip
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1, 256), help="Requests worked on at once."
)
@click.option(
    "--queue", "waiting", default=32, show_default=True, type=click.IntRange(0, 10_000),
    help="Requests that may wait; the next one is answered 503 with Retry-After.",
)  # fmt: skip
@click.option("--seconds", default=30.0, show_default=True, type=click.FloatRange(0.1), help="Time limit of a request.")
@click.option(
    "--max-mb", default=32, show_default=True, type=click.IntRange(1, 1024), help="Largest request body, in MiB."
)
@click.option(
    "--videos", default=1, show_default=True, type=click.IntRange(0, 64),
    help="Videos watched at once (extra video); the next one is answered 503. 0: none is.",
)  # fmt: skip
@click.option(
    "--video-seconds", default=300.0, show_default=True, type=click.FloatRange(0.1),
    help="The most that watching a video may take, and sending it.",
)  # fmt: skip
@click.option(
    "--video-mb", default=256, show_default=True, type=click.IntRange(1, 65536), help="Largest video, in MiB."
)
@click.option(
    "--keep-crops", type=FilePath(file_okay=False), default=None, metavar="FOLDER",
    help="Keep the crops of enrolled people in this folder; by default none are kept.",
)  # fmt: skip
@enrol_options
def command(
    folder: str, host: str, port: int, token_file: str | None, workers: int, waiting: int, seconds: float, max_mb: int,
    videos: int, video_seconds: float, video_mb: int, keep_crops: str | None, **model: Any,
) -> None:  # fmt: skip
    """Serve a web page and an HTTP interface over a model and a gallery, until Ctrl-C.

    The page is at /, the schema at /openapi.json. Only this machine can send requests, unless --host allows others.
    """
    from lrface.recognition.gallery.address import shown as shown_place
    from lrface.serve.run import check_installed, listen, make_server, open_engine
    from lrface.serve.settings import Settings, read_token

    check_installed()
    crops = None if keep_crops is None else Path(keep_crops)
    settings = Settings(
        host,
        read_token(token_file),
        workers,
        waiting,
        seconds,
        max_mb << 20,
        crops,
        videos,
        video_seconds,
        video_mb << 20,
    )
    listener = listen(host, port)  # before the model is loaded, which takes longer
    parts = ("model", "detector", "face", "device", "runtime", "threads", "min_face", "turn", "sharp")
    engine = open_engine(folder, settings, *(model[part] for part in parts))
    shown = f"[{host}]" if ":" in host else host
    guarded = "a token is asked for" if settings.token else "only this machine can ask"
    click.echo(f"http://{shown}:{port}/ serves the gallery {shown_place(folder)}; {guarded}; Ctrl-C ends it", err=True)
    make_server(engine, settings).run([listener])
