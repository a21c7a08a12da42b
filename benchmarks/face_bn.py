"""Whether batch-norm statistics that are taken again from unlabelled faces of one camera help that camera's faces (FaceBN).

    python benchmarks/face_bn.py lfw_mtcnn --train pairsDevTrain.txt --test pairsDevTest.txt --out face_bn.json

A camera is one fixed blur, gain, noise and JPEG on crops that were reduced to some pixels. Statistics come from faces of the people
of View 1's training list, accuracy from the pairs of its test list, both seen by the same camera; nobody is in both lists.
The statistics are those of `lrface adapt` (:mod:`lrface.finetune.adapt`).
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from torch import nn
from tqdm import tqdm

from lrface.data.sets.pair_set import PairSet, from_store
from lrface.eval.embeddings import flip_sum
from lrface.eval.verification import evaluate
from lrface.faces.degrade import resize
from lrface.files import write_json
from lrface.finetune.adapt import mixed, statistics_of
from lrface.models import load_model, shipped
from lrface.models.embedder import Embedder, open_embedder
from lrface.runtimes.torch import TorchNetwork
from lrface.version import code_version


@dataclass(frozen=True)
class Camera:
    """What one camera makes of every face.

    Attributes:
        name: for tables.
        side: of the crop in its pixels.
        blur: sigma in its pixels.
        gain: of the light.
        noise: standard deviation in grey levels.
        jpeg: quality.
        grey: no colours.
    """

    name: str
    side: int = 20
    blur: float = 0.0
    gain: float = 1.0
    noise: float = 0.0
    jpeg: int = 95
    grey: bool = False

    def see(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Uint8 RGB ``[112, 112, 3]`` -> ``[side, side, 3]``."""
        small: np.ndarray = resize(crop, self.side).astype(np.float32)
        if self.blur:
            small = cv2.GaussianBlur(small, (0, 0), self.blur, borderType=cv2.BORDER_REFLECT_101)
        if self.grey:
            small = small.mean(2, keepdims=True).repeat(3, 2)
        grain = rng.standard_normal((*small.shape[:2], 1 if self.grey else 3), np.float32)
        seen = np.clip(np.rint(self.gain * small + self.noise * grain), 0, 255).astype(np.uint8)
        data = cv2.imencode(".jpg", np.ascontiguousarray(seen[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])[1]
        return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])


CAMERAS = (
    Camera("dim", blur=0.8, gain=0.5, noise=8, jpeg=60),
    Camera("infrared", blur=1.0, gain=0.6, noise=10, jpeg=50, grey=True),
    Camera("bright", blur=0.6, gain=1.6, noise=4, jpeg=75),
    Camera("as trained", side=16),
)
FACES = (300, 1000)
#: The part of the camera's own statistics; the rest is the model's.
PARTS = (0.3, 1.0)


def thinned(pairs: PairSet, every: int) -> PairSet:
    """Every n-th pair, and the images that they use."""
    used, places = np.unique(np.stack([pairs.a[::every], pairs.b[::every]]), return_inverse=True)
    a, b = places.reshape(2, -1)
    return replace(pairs, images=[pairs.images[at] for at in used], a=a, b=b, same=pairs.same[::every])


def score(embedder: Embedder, crops: list[np.ndarray], pairs: PairSet) -> dict[str, float]:
    """Ten folds."""
    rows = flip_sum(embedder, crops)
    result = evaluate(rows[pairs.a], rows[pairs.b], pairs.same)
    return {"accuracy": result.accuracy, "auc": result.auc}


@click.command()
@click.argument("store", type=click.Path(exists=True))
@click.option("--train", required=True, type=click.Path(exists=True))
@click.option("--test", required=True, type=click.Path(exists=True))
@click.option("--model", default="lrface-r18-16px", show_default=True)
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take every n-th test pair.")
@click.option("--out", required=True, type=click.Path(dir_okay=False))
def main(store: str, train: str, test: str, model: str, every: int, out: str) -> None:
    """Measure a shipped MODEL on faces of made-up cameras, as it is and with statistics of each camera's own."""
    path = shipped.find(model)
    network = load_model(path or model)[0].eval()
    shown = open_embedder(model)
    faces, pairs = from_store(store, [train]), thinned(from_store(store, [test]), every)
    order = np.random.default_rng(5).permutation(len(faces.images))[: max(FACES)]
    rows: list[dict[str, Any]] = []
    for camera in tqdm(CAMERAS, disable=None):
        rng = np.random.default_rng(7)
        seen = [shown.compact(camera.see(faces.images[at], rng)) for at in order]
        crops = [camera.see(image, rng) for image in pairs.images]
        batch = shown.preprocessing.batch(np.stack(seen))
        facts = {"camera": asdict(camera)}
        rows.append({**facts, "faces": 0, "part": 0.0, **score(_embedder(network, shown), crops, pairs)})
        for count in FACES:
            statistics = statistics_of(network, batch[:count])
            for part in PARTS:
                embedder = _embedder(mixed(network, statistics, part), shown)
                rows.append({**facts, "faces": count, "part": part, **score(embedder, crops, pairs)})
        write_json(
            out, {"model": model, "pairs": Path(test).name, "every": every, "code": code_version(), "rows": rows}
        )
    for row in rows:
        click.echo(
            f"| {row['camera']['name']} | {row['faces']} | {row['part']} | "
            f"{100 * row['accuracy']:.2f} ({row['auc']:.4f}) |"
        )


def _embedder(network: nn.Module, like: Embedder) -> Embedder:
    return Embedder(TorchNetwork(network, threads=1), like.preprocessing, "adapted", {})


if __name__ == "__main__":
    main()
