"""The plot of embeddings in the plane (the paper's Fig. 4)."""

from typing import Any

import numpy as np

from lrface.faces.degrade import Degradation
from lrface.suite.context import Context, NotApplicableError
from lrface.suite.task import Task

#: Number of people, images of each, and fewest images. More people could not be told apart by colour and marker. At 30 ms per
#: face the embeddings take seconds.
PEOPLE, FACES_EACH, FEWEST = 12, 24, 4


def tsne(context: Context, task: Task) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Embeddings of the people with the most images, in two dimensions, with a fixed seed.

    Raises:
        NotApplicableError: fewer than two people have enough images.
    """
    from sklearn.manifold import TSNE

    people = np.array([name.partition("/")[0] for name in context.load(task.set).names])
    known, counts = np.unique(people, return_counts=True)
    most = known[np.argsort(-counts, kind="stable")][:PEOPLE]
    chosen = [name for name in most if np.sum(people == name) >= FEWEST]
    if len(chosen) < 2:
        raise NotApplicableError(f"fewer than two people have {FEWEST} images in {task.set.title}: nothing to draw")
    at = np.concatenate([np.flatnonzero(people == name)[:FACES_EACH] for name in chosen])
    degradation = Degradation(**task.options["degradation"])
    embeddings = context.embed_some(task.model, task.set, degradation, at)
    perplexity = min(15, (len(at) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", metric="cosine", random_state=0).fit_transform(embeddings)
    labels = np.searchsorted(np.sort(chosen), people[at])
    metrics = {"people": len(chosen), "images": len(at), "perplexity": perplexity}
    return metrics, {"places": places.astype(np.float32), "labels": labels}
