"""Faces as distant, blurred and compressed pictures show them, of which the truth is known: to calibrate and measure."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lrface.faces.align import TEMPLATE as LANDMARKS
from lrface.faces.align import TEMPLATE_SIZE, norm_crop
from lrface.faces.degrade import resize
from lrface.faces.images import encode_image, read_image

#: How the face comes: ``native``, an image of its own pixels; ``photo``, cut out of a photo by an aligner, which knows
#: how many pixels it had; ``enlarged``, by somebody who does not say so.
Route = Literal["native", "photo", "enlarged"]

#: Blur of a face larger than this is given in pixels of one of this size.
BLUR_SIDE = 24


@dataclass(frozen=True)
class Variant:
    """What becomes of an aligned crop.

    Attributes:
        side: pixels across the face; None for the crop as it is.
        blur: standard deviation of a Gaussian, in pixels of the face, or of ``BLUR_SIDE`` where it has more.
        route: see ``Route``.
        kernel: of the reduction, and of an unknown enlargement.
        jpeg: quality with which the small face was compressed; None if it was not.
    """

    side: int | None = None
    blur: float = 0.0
    route: Route = "photo"
    kernel: str = "bilinear"
    jpeg: int | None = None

    def __call__(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
        """From an aligned crop uint8 RGB ``[n, n, 3]`` to an image of the face, and how many pixels it is said to have."""
        import cv2

        image = crop if self.side is None else resize(crop, self.side, self.kernel)
        side = len(image)
        if self.blur:
            image = cv2.GaussianBlur(image, (0, 0), self.blur * max(1.0, side / BLUR_SIDE))
        if self.jpeg is not None:
            image = read_image(encode_image(image, "jpg", self.jpeg))
        if self.side is None or self.route == "native":
            return image, side
        if self.route == "enlarged":
            return resize(image, TEMPLATE_SIZE, self.kernel), TEMPLATE_SIZE
        # As an aligner would, except that it would find the crop's surroundings beyond the border.
        rim = 1
        framed = cv2.copyMakeBorder(image, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
        places = (LANDMARKS + 0.5) * (side / TEMPLATE_SIZE) - 0.5 + rim
        return norm_crop(framed, places), side

    @property
    def detail(self) -> float:
        """Pixels of detail, in the sense of :func:`lrface.faces.detail.detail`; of the crop as it is, at most."""
        side = TEMPLATE_SIZE if self.side is None else self.side
        return float(side / np.sqrt(1 + 3 * (self.blur * max(1.0, side / BLUR_SIDE)) ** 2))


def draw_variant(rng: np.random.Generator, largest: int = 48) -> Variant:
    """A face as it may come: one in eight as it is, the others of 5 to ``largest`` pixels, half of them blurred."""
    if rng.random() < 1 / 8:
        return Variant()
    blurred, compressed = rng.random(2) < (0.5, 0.3)
    kernels = ("bilinear", "bicubic")
    return Variant(
        side=round(2 ** rng.uniform(np.log2(5), np.log2(largest))),
        blur=float(rng.uniform(0.3, 1.3)) if blurred else 0.0,
        route=draw_route(rng),
        kernel=kernels[rng.integers(len(kernels))],
        jpeg=int(rng.integers(60, 96)) if compressed else None,
    )


def draw_route(rng: np.random.Generator) -> Route:
    """Any of the three, equally often."""
    routes: tuple[Route, ...] = ("native", "photo", "enlarged")
    return routes[rng.integers(len(routes))]
