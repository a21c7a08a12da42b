"""Draw the picture in the README: one face at 112 and at 16 pixels, and a model's answers about it.

The portrait shows Eileen Collins. It is in the public domain and comes with scikit-image. The second face of the `different`
pair is drawn by lrface.data.synthetic.
"""

from pathlib import Path

import click
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.data import astronaut

from lrface import FaceEncoder
from lrface.data.synthetic import face
from lrface.faces.degrade import Degradation, resize
from lrface.files import atomic_write

SIDE, GAP, CAPTION = 224, 16, 44


def variant(photo: np.ndarray) -> np.ndarray:
    """The same portrait as if taken by another camera: rotated, darker, softer and mirrored."""
    height, width = photo.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 9, 0.8)
    turned = cv2.warpAffine(photo[:, ::-1].copy(), turn, (width, height))
    return cv2.GaussianBlur(cv2.convertScaleAbs(turned, alpha=0.7, beta=5), (0, 0), 1.5)


def panel(image: np.ndarray, caption: str) -> Image.Image:
    """An image, enlarged without smoothing, with its caption below."""
    result = Image.new("RGB", (SIDE, SIDE + CAPTION), "white")
    result.paste(Image.fromarray(resize(image, SIDE, "nearest", antialias=False)), (0, 0))
    ImageDraw.Draw(result).multiline_text((2, SIDE + 6), caption, "black", ImageFont.load_default(14))
    return result


@click.command()
@click.option("--model", default=None, help="Model file; the shipped one by default.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/astronaut.png"), show_default=True)
@click.option("--detector", default="mtcnn", show_default=True)
def main(model: str | None, out: Path, detector: str) -> None:
    """Draw the README's picture."""
    encoder, low = FaceEncoder.load(model, detector), Degradation()
    photo = astronaut()
    other_photo, stranger = variant(photo), face(3, 0, seed=0)
    crop, other = encoder.crop(photo)[0], encoder.crop(other_photo)[0]
    first, second, third = encoder.embed_crops([crop, other, stranger])
    threshold = encoder.threshold(0.01)

    def answer(similarity: float) -> str:
        return f"{'same' if similarity > threshold else 'different'}: {similarity:.2f} (threshold {threshold:.2f})"

    square = photo[: min(photo.shape[:2]), : min(photo.shape[:2])]
    panels = [
        panel(square, "photo, 512 px"),
        panel(crop, "aligned crop, 112 px"),
        panel(low(crop), f"what the student sees, {low.size} px"),
        panel(low(other), f"turned, darkened, mirrored, {low.size} px\n{answer(float(first @ second))}"),
        panel(low(stranger), f"a drawn face, {low.size} px\n{answer(float(first @ third))}"),
    ]
    sheet = Image.new("RGB", (len(panels) * (SIDE + GAP) - GAP, SIDE + CAPTION), "white")
    for number, drawn in enumerate(panels):
        sheet.paste(drawn, (number * (SIDE + GAP), 0))
    with atomic_write(out) as file:
        sheet.save(file, "PNG", optimize=True)
    click.echo(f"written to {out}")


if __name__ == "__main__":
    main()
