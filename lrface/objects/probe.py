"""Linear probe: a linear classifier on the frozen features of a trained network, on another set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lrface.objects.data import Pictures, open_set
from lrface.objects.evaluate import run_network
from lrface.objects.files import load_network
from lrface.objects.networks import ObjectNetwork
from lrface.objects.view import View

#: Inverse strengths of the penalty to choose from.
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
HOLDOUT_SEED = 20_000


@dataclass(frozen=True)
class Probe:
    """Result of a linear probe.

    Attributes:
        accuracy: on the test set, 0 to 1.
        strength: chosen inverse strength of the penalty.
        held_out: accuracy on held-out training pictures with this strength, 0 to 1.
    """

    accuracy: float
    strength: float
    held_out: float


def linear_probe(
    model: str | Path, name: str, path: str | Path | None = None, device: str = "cpu", steps: int = 1000
) -> Probe:
    """Train a multinomial logistic regression on the embeddings of another set.

    The strength of its penalty is chosen on a fifth of each class of the training pictures. The test set is used only
    once, at the end. Features are scaled to unit variance by the training pictures. Pictures are resized to the side that
    the network's teacher used, then to the network's own resolution, as in its training.

    Args:
        model: file of the network.
        name: of the set, one of ``lrface.objects.data.SETS``.
        path: folder of the set.
        device: for the features.
        steps: maximum number of steps of the solver (L-BFGS).

    Raises:
        LrfaceError: the network or the set is missing or damaged.
    """
    network, card = load_network(model)
    network.to(device)
    view = View(**{key: value for key, value in card["view"].items() if key != "name"})
    train, test = (open_set(name, path, split).resized(view.side) for split in ("train", "test"))
    features = [_features(network, each, view, device) for each in (train, test)]
    mean, deviation = features[0].mean(0), features[0].std(0) + 1e-6
    train_features, test_features = ((each - mean) / deviation for each in features)
    smallest = int(np.bincount(train.labels).min())
    held, rest = train.part(max(smallest // 5, 1), HOLDOUT_SEED)
    scores = {
        strength: _fit(train_features[rest], train.labels[rest], strength, steps).score(
            train_features[held], train.labels[held]
        )
        for strength in STRENGTHS
    }
    best = max(scores, key=lambda strength: scores[strength])
    final = _fit(train_features, train.labels, best, steps)
    return Probe(float(final.score(test_features, test.labels)), best, float(scores[best]))


def _features(network: ObjectNetwork, pictures: Pictures, view: View, device: str) -> np.ndarray:
    return run_network(network, pictures, view, torch.device(device))[1].astype(np.float64)


def _fit(features: np.ndarray, labels: np.ndarray, strength: float, steps: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=steps).fit(features, labels)
