"""A face as a distant camera would take it: loosely framed, blurred, small, noisy, compressed."""

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, TEMPLATE_SIZE
from lrface.faces.degrade import resize
from lrface.faces.images import encode_image, read_image


class Capture(NamedTuple):
    """An image of a rehearsal set.

    Attributes:
        encoded: the image file, JPEG or PNG.
        size: its side in pixels.
        landmarks: float32 ``[5, 2]`` pixels, the positions of the template's five points.
    """

    encoded: bytes
    size: int
    landmarks: np.ndarray


@dataclass(frozen=True)
class Camera:
    """The ranges of the image conditions. Conditions are drawn uniformly and independently.

    The framing is that of the aligned template with a small random similarity transform. So an image can be used as it is
    (alignment ``none``), like a crop of TinyFace.

    Attributes:
        smallest, largest: native side in pixels, both included; 4 to 112.
        rotation: largest rotation in degrees, in both directions.
        zoom: largest relative change of size, in both directions.
        shift: largest shift as a fraction of the side, in each direction.
        blur: largest standard deviation of the blur, in native pixels.
        noise: largest standard deviation of the noise, in grey levels.
        quality: of JPEG, lowest and highest.

    Raises:
        LrfaceError: the range of sides is not within 4 to 112.
    """

    smallest: int = 8
    largest: int = 32
    rotation: float = 6.0
    zoom: float = 0.06
    shift: float = 0.03
    blur: float = 0.8
    noise: float = 6.0
    quality: tuple[int, int] = (60, 95)

    def __post_init__(self) -> None:
        if not 4 <= self.smallest <= self.largest <= TEMPLATE_SIZE:
            raise LrfaceError(f"native sizes of {self.smallest} to {self.largest} pixels: choose 4 to {TEMPLATE_SIZE}")

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        return asdict(self) | {"quality": list(self.quality)}

    def sharp(self) -> "Camera":
        """A good camera with the same framing: full size, no blur, no noise."""
        return replace(self, smallest=TEMPLATE_SIZE, largest=TEMPLATE_SIZE, blur=0.0, noise=0.0, quality=(95, 95))

    def __call__(self, crop: np.ndarray, rng: np.random.Generator, kind: str = "jpg") -> Capture:
        """Take a photo of an aligned crop.

        Args:
            crop: uint8 RGB ``[112, 112, 3]``.
            rng: draws the conditions.
            kind: ``jpg`` or ``png``. A ``png`` holds the pixels after JPEG compression.
        """
        import cv2

        size = int(rng.integers(self.smallest, self.largest + 1))
        jitter = self._jitter(rng)
        blur, noise = rng.uniform(0, self.blur), rng.uniform(0, self.noise)
        quality = int(rng.integers(self.quality[0], self.quality[1] + 1))
        side = (TEMPLATE_SIZE, TEMPLATE_SIZE)
        image = cv2.warpAffine(crop, jitter, side, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        if blur > 0:
            image = cv2.GaussianBlur(image, (0, 0), blur * TEMPLATE_SIZE / size)
        small = resize(image, size)
        grain = rng.normal(0, 1, small.shape) * noise
        small = np.clip(np.rint(small + grain), 0, 255).astype(np.uint8)
        encoded = encode_image(small, "jpg", quality)
        if kind == "png":
            encoded = encode_image(read_image(encoded), "png")
        points = TEMPLATE @ jitter[:, :2].T + jitter[:, 2]
        points = (points + 0.5) * (size / TEMPLATE_SIZE) - 0.5  # resizing keeps edges in place, not pixel centres
        return Capture(encoded, size, points.astype(np.float32))

    def _jitter(self, rng: np.random.Generator) -> np.ndarray:
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation))
        zoom = 1 + rng.uniform(-self.zoom, self.zoom)
        shift = rng.uniform(-self.shift, self.shift, 2) * TEMPLATE_SIZE
        cosine, sine = zoom * np.cos(angle), zoom * np.sin(angle)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        middle = np.full(2, (TEMPLATE_SIZE - 1) / 2)
        return np.hstack([turn, (middle + shift - turn @ middle)[:, None]])
