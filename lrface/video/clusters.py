"""Grouping tracks by person: tracks with one name, and unknown tracks with similar templates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrface.video.alike import Limits
from lrface.video.events import Person

#: Largest number of unknown tracks that are compared with each other; the table of all pairs grows with its square.
MOST = 3000

#: Distance of two tracks that overlap in time. No cosine can outweigh it.
_APART = 1e3


@dataclass(frozen=True)
class Group:
    """The tracks of one person.

    Attributes:
        name: None for an unknown person.
        tracks: sorted by their start.
    """

    name: str | None
    tracks: tuple[Person, ...]


def group_tracks(people: Sequence[Person], limits: Limits | None) -> list[Group]:
    """Make one group per person: first the named ones, then the unknown ones, each sorted by their first track.

    Args:
        people: tracks.
        limits: see :mod:`lrface.video.alike`. None: every unknown track is its own group.
    """
    named: dict[str, list[Person]] = {}
    for person in people:
        if person.name is not None:
            named.setdefault(person.name, []).append(person)
    groups = [Group(name, _by_start(tracks)) for name, tracks in named.items()]
    unknown = [person for person in people if person.name is None]
    labels = list(range(len(unknown)))
    if limits is not None and 1 < len(unknown) <= MOST:
        labels = _cluster(unknown, limits)
    clusters: dict[int, list[Person]] = {}
    for label, person in zip(labels, unknown, strict=True):
        clusters.setdefault(label, []).append(person)
    groups += [Group(None, _by_start(tracks)) for tracks in clusters.values()]
    return sorted(groups, key=lambda group: (group.name is None, group.tracks[0].start, group.tracks[0].track))


def _by_start(tracks: list[Person]) -> tuple[Person, ...]:
    return tuple(sorted(tracks, key=lambda person: (person.start, person.track)))


def _cluster(people: Sequence[Person], limits: Limits) -> list[int]:
    """Cluster labels by average linkage, where the distance of a pair is how far it is below its threshold."""
    # trackers has loaded most of scipy; scikit-learn would take 115 MB.
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    templates = np.stack([person.template for person in people]).astype(np.float64)
    detail, looks = (np.array([getattr(person, name) for person in people]) for name in ("detail", "faces"))
    start, end = (np.array([getattr(person, edge) for person in people]) for edge in ("start", "end"))
    distance = 1 + limits(detail[:, None], detail[None], looks[:, None], looks[None]) - templates @ templates.T
    together = (start[:, None] <= end[None]) & (start[None] <= end[:, None])
    distance[together] = _APART
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform((distance + distance.T) / 2, checks=False), "average")
    return [int(label) for label in fcluster(tree, np.nextafter(1.0, 0.0), "distance")]
