"""The way from an aligned crop to a network's input. Every model file contains this record."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.align import OTHER_CROPS, recrop
from lrface.faces.degrade import Degradation, resize


@dataclass(frozen=True)
class Preprocessing:
    """How a network takes its faces. All lrface networks take RGB, ``(v - 127.5) / 127.5``, channels first.

    Attributes:
        input_size: side of the input in pixels.
        mean, scale: a pixel value ``v`` from 0 to 255 becomes ``(v - mean) * scale``.
        colour: ``RGB`` or ``BGR``.
        layout: ``NCHW`` or ``NHWC``.
        crop: the alignment of the network: ``arcface``, the template of :mod:`lrface.faces.align`, or one of its
            ``OTHER_CROPS``, to which aligned crops are converted.
        degradation: for a low-resolution network, how a larger crop is reduced to its input; None otherwise.

    Raises:
        LrfaceError: a value that makes no sense, or a degradation with another size than ``input_size``.
    """

    input_size: int
    mean: float = 127.5
    scale: float = 1 / 127.5
    colour: str = "RGB"
    layout: str = "NCHW"
    crop: str = "arcface"
    degradation: Degradation | None = None

    def __post_init__(self) -> None:
        if type(self.input_size) is not int or not 1 <= self.input_size <= 4096:
            raise LrfaceError(f"an input_size of {self.input_size!r} makes no sense: it is a number of pixels")
        for key, number in (("mean", self.mean), ("scale", self.scale)):
            if type(number) not in (int, float) or not math.isfinite(number):
                raise LrfaceError(f"a {key} of {number!r} makes no sense: it is one number for all colours")
        if self.degradation is not None and self.degradation.size != self.input_size:
            raise LrfaceError(
                f"the degradation makes {self.degradation.size} pixels and the network takes {self.input_size}: "
                "they must agree"
            )
        for key, value, known in (
            ("colour", self.colour, ("RGB", "BGR")),
            ("layout", self.layout, ("NCHW", "NHWC")),
            ("crop", self.crop, ("arcface", *OTHER_CROPS)),
        ):
            if value not in known:
                raise LrfaceError(f"unknown {key} {value!r}: choose one of {', '.join(known)}")

    @classmethod
    def from_card(cls, card: Any, where: object) -> "Preprocessing":
        """Read the record of a model file called ``where``. Keys that other versions or tools added are ignored.

        Raises:
            LrfaceError: the input size is missing, or a value makes no sense.
        """
        if not isinstance(card, dict):
            raise LrfaceError(f"{where} carries a preprocessing record that is not a mapping")
        known = {key: card[key] for key in cls.__dataclass_fields__ if key in card}
        try:
            if known.get("degradation") is not None:
                known["degradation"] = Degradation(**known["degradation"])
            return cls(**known)
        except (TypeError, LrfaceError) as error:
            raise LrfaceError(f"{where} carries a preprocessing record that cannot be used: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dictionary that JSON can hold."""
        return asdict(self)

    def fit(self, image: np.ndarray) -> np.ndarray:
        """Bring an aligned crop to the size of the input.

        For a low-resolution network this is its degradation. A smaller image is enlarged bilinearly.

        Args:
            image: uint8 RGB ``[h, w, 3]`` of any size.

        Returns:
            uint8 RGB ``[input_size, input_size, 3]``.
        """
        if self.degradation is not None:
            return self.degradation(image)
        if self.crop in OTHER_CROPS:
            return recrop(image, self.crop, self.input_size)
        return resize(image, self.input_size)

    def batch(self, images: np.ndarray) -> np.ndarray:
        """Make the network's input, float32 in its layout, from uint8 RGB ``[n, input_size, input_size, 3]``."""
        pixels = images[..., ::-1] if self.colour == "BGR" else images
        values = (pixels.astype(np.float32) - np.float32(self.mean)) * np.float32(self.scale)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if self.layout == "NCHW" else values)
