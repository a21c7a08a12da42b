"""Faces as in distant, blurred and compressed pictures, with known detail, for calibration and measurements."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lrface.faces.align import TEMPLATE as LANDMARKS
from lrface.faces.align import TEMPLATE_SIZE, norm_crop
from lrface.faces.degrade import resize
from lrface.faces.images import encode_image, read_image

#: How the face arrives: ``native``, an image with only the face's own pixels; ``photo``, an aligned crop of a photo with a
#: known face size; ``enlarged``, an enlarged image whose original size is not known.
Route = Literal["native", "photo", "enlarged"]

#: For faces larger than this, the blur is given in pixels of a face of this size.
BLUR_SIDE = 24


@dataclass(frozen=True)
class Variant:
    """How an aligned crop is reduced, blurred and compressed.

    Attributes:
        side: pixels across the face; None for the crop as it is.
        blur: standard deviation of a Gaussian, in pixels of the face; for faces larger than ``BLUR_SIDE``, in pixels of a
            face of that size.
        route: see ``Route``.
        kernel: of the reduction, and of the enlargement on the route ``enlarged``.
        jpeg: quality with which the small face was compressed; None for no compression.
    """

    side: int | None = None
    blur: float = 0.0
    route: Route = "photo"
    kernel: str = "bilinear"
    jpeg: int | None = None

    def __call__(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
        """Convert an aligned crop, uint8 RGB ``[n, n, 3]``, to an image of the face and its stated number of pixels."""
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
        # This is what an aligner would do. Only the surroundings of the face are missing, so the border is repeated.
        rim = 1
        framed = cv2.copyMakeBorder(image, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
        places = (LANDMARKS + 0.5) * (side / TEMPLATE_SIZE) - 0.5 + rim
        return norm_crop(framed, places), side

    @property
    def detail(self) -> float:
        """Pixels of detail as in :func:`lrface.faces.detail.detail`; this is an upper limit, that of a perfectly sharp crop."""
        side = TEMPLATE_SIZE if self.side is None else self.side
        return float(side / np.sqrt(1 + 3 * (self.blur * max(1.0, side / BLUR_SIDE)) ** 2))


def draw_variant(rng: np.random.Generator, largest: int = 48) -> Variant:
    """Draw a random variant: 1 in 8 is the crop as it is, the others have 5 to ``largest`` pixels, half of them blurred."""
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
    """Draw one of the three routes with equal probability."""
    routes: tuple[Route, ...] = ("native", "photo", "enlarged")
    return routes[rng.integers(len(routes))]
