"""A video world without real faces: bright discs on black, a detector that finds them, a model that sees their colour."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from lrface.faces.align import TEMPLATE
from lrface.faces.detect import Face
from lrface.recognition.encoder import FaceEncoder

SIZE = (160, 96)
RED, GREEN, BLUE, GREY = (250, 60, 60), (60, 250, 60), (60, 60, 250), (200, 200, 200)


class Discs:
    """Finds bright discs."""

    name = "discs"

    def detect(self, image: np.ndarray) -> list[Face]:
        mask = (image.max(axis=2) > 128).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        faces = []
        for left, top, width, height, area in stats[1:count]:
            if area < 40:
                continue
            box = np.array([left, top, left + width, top + height], np.float32)
            landmarks = (TEMPLATE / 112 * [width, height] + [left, top]).astype(np.float32)
            faces.append(Face(box, landmarks, 0.9))
        return faces


class SearchedDiscs(Discs):
    """Finds bright discs also near a place only, and counts how often it is asked for what."""

    def __init__(self) -> None:
        self.whole, self.near, self.together = 0, 0, 0

    def detect(self, image: np.ndarray) -> list[Face]:
        self.whole += 1
        return super().detect(image)

    def detect_all(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        self.together += 1
        return [super(SearchedDiscs, self).detect(image) for image in images]

    def detect_near(self, image: np.ndarray, boxes: np.ndarray) -> list[Face]:
        self.near += 1
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        reach = (boxes[:, 2] - boxes[:, 0])[:, None]
        return [
            face
            for face in super().detect(image)
            if (np.abs(middles - (face.box[:2] + face.box[2:]) / 2) < reach).all(axis=1).any()
        ]


class Colours:
    """Embeds a crop by the colour of its middle: each colour is a person."""

    dim = 8

    def __init__(self) -> None:
        self.fingerprint = "c0" * 32
        self.card = {"name": "colours", "thresholds": {"0.1": 0.8, "0.01": 0.9, "0.001": 0.95}}

    def member(self, resolution: float) -> "Colours":
        return self

    def single(self, fingerprint: str) -> "Colours | None":
        return self if fingerprint == self.fingerprint else None


class ColourEncoder(FaceEncoder):
    """A face encoder over discs and colours."""

    def __init__(self, detector: Discs | None = None) -> None:
        super().__init__(Colours(), "mtcnn", turn=False)  # type: ignore[arg-type]
        self._discs = detector or Discs()

    @property
    def _detector(self) -> Discs:  # type: ignore[override]
        return self._discs

    def embed_crops(self, crops, batch_size=64, resolutions=None):
        rows = np.zeros((len(crops), Colours.dim), np.float32)
        for row, crop in zip(rows, crops, strict=True):
            middle = crop.shape[0] // 2
            colour = crop[middle - 4 : middle + 4, middle - 4 : middle + 4].reshape(-1, 3).mean(axis=0)
            row[:3] = colour - colour.min() + 0.01 * colour
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def disc_frame(discs: Sequence[tuple[float, float, tuple[int, int, int]]], size: tuple[int, int] = SIZE) -> np.ndarray:
    """uint8 RGB with discs at x, y of a colour."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y, colour in discs:
        cv2.circle(image, (round(x), round(y)), 10, colour, -1)
    return image


def crossing(count: int = 40) -> list[np.ndarray]:
    """Red walks to the right, green to the left, each in a lane; blue comes for the second half."""
    frames = []
    for number in range(count):
        x = 15 + 130 * number / count
        discs = [(x, 20, RED), (160 - x, 48, GREEN)]
        if number >= count // 2:
            discs.append((80, 78, BLUE))
        frames.append(disc_frame(discs))
    return frames


def write_video(path: Path, frames: Sequence[np.ndarray], times: Sequence[float] | None = None, rate: int = 10) -> Path:
    """An MPEG-4 or MPEG-TS file of these frames, at these seconds."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"g": "5", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.time_base = Fraction(1, 1000)
            picture.pts = round(1000 * (number / rate if times is None else times[number]))
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path
