"""Make video clips with small moving faces: MP4 files (H.264 by PyAV), each with a JSON file that tells where the faces are.

    python tools/make_clips.py clips --lfw lfw/images --pairs lfw/pairsDevTrain.txt --clips 20 --side 16

A clip moves photos along paths over a background. Each frame has a sub-pixel shift, a scale, blur along the motion, noise and JPEG
compression. In some clips the faces pass behind a pillar. The same seed gives the same frames. A clip with one photo per person
shows less variation than a real person does.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from lrface.data.sets.pairs import read_pairs
from lrface.errors import LrfaceError
from lrface.faces.images import encode_image, read_image
from lrface.files import write_json
from lrface.video.decode import load_av

RATE, SIZE = 25, (320, 180)

#: Side in pixels of the aligned face in a deep-funneled photo of LFW: its eyes are 43 pixels apart, the template's 35.2 of 112.
LFW_FACE = 137.0

#: Share of the time between two frames during which the shutter is open: 10 ms of 40.
SHUTTER = 0.25

#: Enlargement at which frames are drawn, and number of moments per frame. The mean gives sub-pixel shifts and motion blur.
_FINE, _MOMENTS = 4, 3

#: Sides of a face between two lanes, at least, where more people walk than there are lanes.
LANE = 1.3


@dataclass(frozen=True)
class Actor:
    """A person in a clip.

    Attributes:
        name: of the person.
        photos: uint8 RGB ``[s, s, 3]``, with the face in the middle. Several photos follow each other during the clip.
        face: side of the aligned face in such a photo, in pixels.
    """

    name: str
    photos: tuple[np.ndarray, ...]
    face: float


@dataclass(frozen=True)
class Look:
    """Appearance of a clip.

    Attributes:
        side: of the aligned faces in the clip, in pixels.
        frames: number of frames.
        noise: standard deviation, in grey levels of 255.
        jpeg: quality of the JPEG compression that each frame gets before the video is encoded.
        pillar: put a pillar into the way.
        wobble: maximum change of a face's size, as a share.
        blur: number of moments that a frame is the mean of; 1: no motion blur.
    """

    side: float = 16.0
    frames: int = 50
    noise: float = 3.0
    jpeg: int = 80
    pillar: bool = False
    wobble: float = 0.1
    blur: int = _MOMENTS


def make_clip(
    out: Path, actors: Sequence[Actor], look: Look, seed: int, size: tuple[int, int] = SIZE
) -> dict[str, Any]:
    """Write an MP4 file, and its truth next to it as ``*.json``.

    Args:
        out: the file.
        actors: the people. Every second one walks from right to left, at heights at which they cross.
        look: appearance of the clip.
        seed: of all random choices.
        size: width and height in pixels.

    Returns:
        The truth: ``people`` by number, and ``boxes``. A row of ``boxes`` has frame, person, left, top, right and bottom of the
        aligned face, and the visible share of it.

    Raises:
        LrfaceError: the file cannot be written, or PyAV is missing.
    """
    av = load_av()
    rng = np.random.default_rng([0xC1, seed])
    ground, paths = _background(rng, size), _paths(rng, len(actors), look, size)
    boxes: list[list[float]] = []
    out.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.thread_count = 1  # one thread, so that the same seed gives the same bytes
        for number in range(look.frames):
            image = _draw(ground, actors, paths, look, number, boxes)
            picture = av.VideoFrame.from_ndarray(_filmed(image, look, rng), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    truth = {"rate": RATE, "side": look.side, "seed": seed, "people": [actor.name for actor in actors], "boxes": boxes}
    write_json(out.with_suffix(".json"), truth)
    return truth


def _background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A background of soft patches of light: float32 ``[h, w, 3]``."""
    coarse = rng.uniform(60, 150, (5, 8, 1)) + rng.uniform(-15, 15, (5, 8, 3))
    return np.asarray(cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC))


def _paths(rng: np.random.Generator, count: int, look: Look, size: tuple[int, int]) -> np.ndarray:
    """Centre and side of each face in each frame, float64 ``[people, frames + 1, 3]``: x, y, side.

    Where the lanes are too few for all, each has several people, who walk one behind the other.
    """
    width, height = size
    margin = 1.2 * look.side
    lanes = min(count, max(1, int((height - 2 * margin) / (LANE * look.side))))
    columns = -(-count // lanes)
    moments = np.linspace(0, 1, look.frames + 1)
    paths = np.empty((count, look.frames + 1, 3))
    for person in range(count):
        column, row = divmod(person, lanes)
        lane = (row + 0.5) / lanes + rng.uniform(-0.1, 0.1) / lanes
        first, last = width * column / columns + margin, width * (column + 1) / columns - margin
        ends = first + rng.uniform(0, 0.15) * width / columns, last - rng.uniform(0, 0.15) * width / columns
        start, stop = ends if row % 2 == 0 else ends[::-1]
        phase = rng.uniform(0, 2 * np.pi)
        paths[person, :, 0] = start + (stop - start) * moments + 0.3 * np.sin(9 * moments + phase)
        sway = 0.15 * look.side * np.sin(20 * moments + phase)
        paths[person, :, 1] = margin + lane * (height - 2 * margin) + sway
        paths[person, :, 2] = look.side * (1 + look.wobble * np.sin(5 * moments + phase))
    return paths


def _draw(
    ground: np.ndarray, actors: Sequence[Actor], paths: np.ndarray, look: Look, number: int, boxes: list[list[float]]
) -> np.ndarray:
    """A frame, float32 ``[h, w, 3]``. Its rows of the truth are appended to ``boxes``."""
    image = ground.copy()
    pillar = 0.5 * ground.shape[1] + np.array([-1.0, 1.0]) * look.side if look.pillar else np.zeros(2)
    for person, actor in enumerate(actors):
        photo = actor.photos[number * len(actor.photos) // look.frames]
        places = [
            paths[person, number] + (paths[person, number + 1] - paths[person, number]) * SHUTTER * moment / look.blur
            for moment in range(look.blur)
        ]
        _paste(image, photo, actor.face, places)
        x, y, side = np.mean(places, axis=0)
        edges = [x - side / 2, y - side / 2, x + side / 2, y + side / 2]
        hidden = max(0.0, min(edges[2], pillar[1]) - max(edges[0], pillar[0])) / side
        boxes.append([number, person, *(round(float(edge), 2) for edge in edges), round(1 - hidden, 3)])
    left, right = (int(edge) for edge in pillar)
    image[:, left:right] = 70
    return image


def _paste(image: np.ndarray, photo: np.ndarray, face: float, places: Sequence[np.ndarray]) -> None:
    """Lay the mean of a photo at some places onto the image."""
    reach = 1 + max(place[2] for place in places) * photo.shape[0] / face / 2
    middles = np.array(places)[:, :2]
    left, top = np.maximum(np.floor(middles.min(0) - reach), 0).astype(int)
    right, bottom = np.minimum(np.ceil(middles.max(0) + reach) + 1, image.shape[1::-1]).astype(int)
    if left >= right or top >= bottom:
        return
    window = image[top:bottom, left:right]
    layers = [_layer(photo, face, place - [left, top, 0], window.shape[1::-1]) for place in places]
    layer = np.mean(layers, axis=0)
    window *= 1 - layer[..., 3:]
    window += layer[..., :3]


def _layer(photo: np.ndarray, face: float, place: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A photo, cut round, and its mask: float32 ``[h, w, 4]``, reduced in two steps so that no pixel of it is skipped."""
    x, y, side = place
    fine = max(8, round(photo.shape[0] * _FINE * side / face))
    small = photo
    if fine < photo.shape[0]:
        small = np.asarray(cv2.resize(photo, (fine, fine), interpolation=cv2.INTER_AREA))
    across = photo.shape[0] * side / face
    factor = across / small.shape[0]
    grown = np.array([[factor, 0, x - across / 2], [0, factor, y - across / 2]]) * _FINE
    grown[:, 2] += (factor * _FINE - 1) / 2
    yy, xx = np.mgrid[: small.shape[0], : small.shape[0]]
    half = (small.shape[0] - 1) / 2
    round_mask = (((xx - half) / half) ** 2 + ((yy - half) / half) ** 2 < 0.9).astype(np.float32)
    both = np.dstack([small.astype(np.float32) * round_mask[..., None], round_mask])
    warped = cv2.warpAffine(both, grown, (size[0] * _FINE, size[1] * _FINE), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(warped, size, interpolation=cv2.INTER_AREA))


def _filmed(image: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    noisy = np.clip(image + rng.normal(0, look.noise, image.shape), 0, 255).astype(np.uint8)
    return read_image(encode_image(noisy, "jpg", look.jpeg), "frame")


def lfw_people(pairs: Sequence[Path], photos: int = 1) -> list[tuple[str, list[str]]]:
    """The people of some lists of pairs who have so many photos there, by name, each with these photos' names."""
    known: dict[str, set[str]] = {}
    for file in pairs:
        for pair in read_pairs(file):
            for name in (pair.a, pair.b):
                known.setdefault(name.split("/")[0], set()).add(name)
    return [(person, sorted(names)) for person, names in sorted(known.items()) if len(names) >= photos]


def read_actor(root: Path, person: str, names: Sequence[str]) -> Actor:
    """Somebody of LFW with some photos."""
    return Actor(person, tuple(read_image(root / name, name) for name in names), LFW_FACE)


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--lfw", required=True, type=click.Path(path_type=Path, exists=True), help="Folder of LFW's images.")
@click.option(
    "--pairs", required=True, multiple=True, type=click.Path(path_type=Path, exists=True), help="Lists of pairs."
)
@click.option("--clips", default=10, show_default=True, type=click.IntRange(1), help="Number of clips.")
@click.option("--people", default=4, show_default=True, type=click.IntRange(1), help="People a clip.")
@click.option(
    "--photos", default=1, show_default=True, type=click.IntRange(1), help="Photos a person, one after another."
)
@click.option("--side", default=16.0, show_default=True, help="Side of the aligned faces in pixels.")
@click.option("--frames", default=50, show_default=True, type=click.IntRange(2), help="Frames a clip.")
@click.option("--pillar", is_flag=True, help="Let the faces pass behind a pillar.")
@click.option("--seed", default=0, show_default=True)
def main(
    out: Path, lfw: Path, pairs: tuple[Path, ...], clips: int, people: int, photos: int, side: float, frames: int,
    pillar: bool, seed: int,
) -> None:  # fmt: skip
    """Write clips of people of LFW's lists of pairs to OUT."""
    try:
        known = lfw_people(pairs, photos)
        rng = np.random.default_rng([0xC2, seed])
        for number in range(clips):
            chosen = [known[place] for place in rng.choice(len(known), people, replace=False)]
            actors = [read_actor(lfw, person, names[:photos]) for person, names in chosen]
            make_clip(out / f"{number:04d}.mp4", actors, Look(side, frames, pillar=pillar), seed + number)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"{clips} clips in {out}")


if __name__ == "__main__":
    main()
