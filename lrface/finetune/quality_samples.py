"""Embeddings of held-out faces at known sizes and blurs, for fitting and checking a calibration by quality."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.sets.pair_set import from_store
from lrface.data.store import Store
from lrface.data.variants import Variant, draw_route, draw_variant
from lrface.errors import LrfaceError
from lrface.eval.quality_tables import QualitySamples
from lrface.faces.quality import assess
from lrface.models.embedder import Embedder
from lrface.models.family import Family
from lrface.recognition.encoder import FaceEncoder
from lrface.train.recipe import DataSection
from lrface.train.split import split_store

#: Largest number of consecutive faces with equal conditions except for their route, and smallest number of conditions.
ALIKE, CONDITIONS = 30, 200

#: Largest number of images of one person, so that no person dominates.
IMAGES_A_PERSON = 6


@dataclass(frozen=True)
class Source:
    """Faces of people on whom the model was not trained.

    Attributes:
        name: for human readers.
        crops: uint8 RGB aligned crops.
        people: int64 ``[n]``.
        facts: their origin, for a model's card.
    """

    name: str
    crops: Sequence[np.ndarray]
    people: np.ndarray
    facts: dict[str, Any]

    def of_people(self, mask: np.ndarray) -> "Source":
        """The faces of the people in ``mask``, bool ``[number of people]``."""
        chosen = np.flatnonzero(mask[self.people])
        return replace(self, crops=[self.crops[int(i)] for i in chosen], people=self.people[chosen])


def held_out_source(store: Store, card: dict[str, Any]) -> Source:
    """The identities that a model's recipe held out of its training store.

    Raises:
        LrfaceError: the card has no recipe or one without held-out identities, or the model was trained on another store.
    """
    section = (card.get("recipe") or {}).get("data")
    if not section or not section.get("holdout_identities"):
        raise LrfaceError(
            "the model's recipe held no identities out (data.holdout_identities): name faces with --pairs"
        )
    trained = (card.get("data") or {}).get("fingerprint")
    if trained != store.fingerprint:
        raise LrfaceError(
            f"the model was trained on another store than {store.path} (its fingerprint begins with "
            f"{str(trained)[:12]}, not {store.fingerprint[:12]}): nobody knows who was held out of this one"
        )
    split = split_store(store, DataSection(**{key: section[key] for key in DataSection.model_fields if key in section}))
    chosen = _at_most(split.holdout_labels, IMAGES_A_PERSON)
    labels = np.unique(split.holdout_labels[chosen], return_inverse=True)[1]
    facts = {"store": store.fingerprint, "people": int(labels.max()) + 1, "images": len(labels)}
    return Source("held-out identities", [store.crop(int(i)) for i in split.holdout[chosen]], labels, facts)


def listed_source(store: str | Path, pairs: Sequence[str | Path]) -> Source:
    """The images in lists of pairs in LFW's format. The name of an image's folder is its person.

    Raises:
        LrfaceError: a list cannot be read, or names an image that is not in the store.
    """
    listed = from_store(store, pairs)
    people = np.unique([Path(name).parent.name for name in listed.names], return_inverse=True)[1]
    chosen = _at_most(people, IMAGES_A_PERSON)
    facts = {"pairs": [Path(file).name for file in pairs], "people": int(people.max()) + 1, "images": len(chosen)}
    return Source(listed.name, [listed.images[i] for i in chosen], people[chosen], facts)


def sample_qualities(
    embedder: Embedder | Family, sources: Sequence[Source], faces: int, seed: int = 0, largest: int = 48
) -> QualitySamples:
    """Embed faces at random qualities, several at each quality. The same seed gives the same result.

    Args:
        embedder: the model or family.
        sources: faces; people of two sources count as different.
        faces: number of embeddings of each source.
        seed: of the draw.
        largest: side of the largest faces in pixels, except for crops that are used as they are.
    """
    rng = np.random.default_rng(seed)
    chosen, parts = [], []
    for source in sources:
        count = len(source.people)
        rounds = [rng.permutation(count) for _ in range(-(-faces // count))]
        images = np.concatenate(rounds)[:faces]
        chosen.append(images)
        alike = min(max(faces // CONDITIONS, 1), ALIKE)
        drawn = [draw_variant(rng, largest) for _ in range(-(-faces // alike))]
        parts.append([replace(drawn[place // alike], route=draw_route(rng)) for place in range(faces)])
    return sample_variants(embedder, sources, chosen, parts)


def sample_variants(
    embedder: Embedder | Family,
    sources: Sequence[Source],
    images: Sequence[np.ndarray],
    variants: Sequence[Sequence[Variant]],
) -> QualitySamples:
    """Embed chosen faces at chosen qualities.

    Args:
        embedder: the model or family.
        sources: faces.
        images: for each source int64 ``[n_s]``, positions in its crops.
        variants: for each source the variant of each of these crops.
    """
    fitted, resolutions, people, numbers, owners, conditions = [], [], [], [], [], []
    known: dict[tuple[int, Variant], int] = {}
    first_person = first_image = 0
    for number, (source, chosen, how) in enumerate(zip(sources, images, variants, strict=True)):
        for image, variant in zip(chosen, how, strict=True):
            face, pixels = variant(source.crops[image])
            resolutions.append(assess(face, pixels).resolution)
            fitted.append(embedder.member(resolutions[-1]).preprocessing.fit(face))
            conditions.append(known.setdefault((number, replace(variant, route="native")), len(known)))
        people.append(source.people[chosen] + first_person)
        numbers.append(np.asarray(chosen) + first_image)
        owners.append(np.full(len(chosen), number))
        first_person += int(source.people.max()) + 1
        first_image += len(source.crops)
    return QualitySamples(
        FaceEncoder(embedder, "none").embed_crops(fitted, 128, resolutions),
        np.concatenate(people),
        np.concatenate(numbers),
        np.concatenate(owners),
        np.array(conditions),
        np.array(resolutions),
    )


def _at_most(people: np.ndarray, count: int) -> np.ndarray:
    """Positions of the first ``count`` images of each person."""
    order = np.argsort(people, kind="stable")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(people[order])) + 1])
    rank = np.arange(len(people)) - np.repeat(starts, np.diff(np.append(starts, len(people))))
    return np.sort(order[rank < count])
