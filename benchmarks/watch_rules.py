"""Templates of looks by several rules, and what they are worth; for ``benchmarks/watch.py``."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from calibrate_looks import DRAWS, draw_looks

from lrface.recognition.encoder import FaceEncoder

COUNTS = (1, 2, 4, 8, 16, 32)
FARS, FPIRS = (0.01, 0.001), (0.01, 0.1)

#: Rule -> powers of recognisability and of the detector's score that weigh the mean; None: the best look alone.
RULES: dict[str, tuple[float, float] | None] = {"mean": (0.0, 0.0), "weighted mean": (1.0, 1.0), "best frame": None}

FOLDS = 10

#: Who is seen in fewer frames of a clip is left out. Of who is seen in fewer than a template asks for, all looks are taken.
FEWEST = 8


@dataclass(frozen=True)
class Photos:
    """Embeddings float64 ``[n, dim]``, pixels of detail float64 ``[n]``, and whose each is; of templates how many looks."""

    rows: np.ndarray
    details: np.ndarray
    names: list[str]
    looks: int | None = None

    def of(self, names: list[str]) -> "Photos":
        """Those of some people, in their order."""
        places = [self.names.index(name) for name in names]
        return Photos(self.rows[places], self.details[places], names, self.looks)

    def joined(self, other: "Photos") -> "Photos":
        """Both."""
        details = np.concatenate([self.details, other.details])
        return Photos(np.concatenate([self.rows, other.rows]), details, self.names + other.names)


def template(looks: list[Any], powers: tuple[float, float] | None) -> tuple[np.ndarray, float]:
    """A template and its pixels of detail."""
    rows = np.stack([look.embedding for look in looks]).astype(np.float64)
    known = np.array([max(look.recognisability or 0, 0.01) for look in looks])
    score = np.array([max(look.score, 0.01) for look in looks])
    detail = np.array([max(look.detail, 1.0) for look in looks])
    if powers is None:
        best = int(np.argmax(known * score))
        return rows[best] / np.linalg.norm(rows[best]), float(detail[best])
    weights = known ** powers[0] * score ** powers[1]
    mean = weights @ rows
    return mean / np.linalg.norm(mean), float(np.exp(weights @ np.log(detail) / weights.sum()))


def draw_templates(films: dict[str, list[Any]], count: int, rule: str) -> list[Photos]:
    """Templates of so many looks, one a person; several draws where a clip holds enough looks."""
    drawn = {name: draw_looks(looks, min(count, len(looks))) for name, looks in films.items()}
    found = []
    for place in range(min(DRAWS, *(len(each) for each in drawn.values()))):
        made = [template(each[place], RULES[rule]) for each in drawn.values()]
        rows, details = np.stack([row for row, _ in made]), np.array([detail for _, detail in made])
        found.append(Photos(rows, details, list(drawn), count if RULES[rule] is not None else None))
    return found


def accuracy(cosines: np.ndarray) -> float:
    """Of telling one person from two, both equally often: ten folds of people, each at the best threshold of the others'.

    Args:
        cosines: float64 ``[n, n]``, each person with each; mates on the diagonal.
    """
    fold = np.arange(len(cosines)) % FOLDS
    right = []
    for each in range(FOLDS):
        test = fold == each
        inner = cosines[np.ix_(~test, ~test)]
        same, other = np.sort(np.diag(inner)), np.sort(inner[~np.eye(len(inner), dtype=bool)])
        limits = np.concatenate([same, other])
        rates = (
            1
            - np.searchsorted(same, limits, "right") / len(same)
            + np.searchsorted(other, limits, "right") / len(other)
        )
        limit = limits[int(np.argmax(rates))]
        strangers = cosines[test][:, ~test]
        right += [((np.diag(cosines)[test] > limit).mean() + (strangers <= limit).mean()) / 2]
    return float(np.mean(right))


def verify(drawn: list[Photos], against: Photos, encoder: FaceEncoder) -> dict[str, Any]:
    """Figures of templates against one photo or template of each of the same people; means over the draws."""
    assert encoder.calibration is not None
    single = replace(encoder.calibration, looks=None)
    rows = []
    for each in drawn:
        cosines = each.rows @ against.rows.T
        mates, strange = np.diag(cosines), ~np.eye(len(cosines), dtype=bool)
        pair = each.details[:, None], against.details[None]
        limits = {far: encoder.calibration.threshold(far, *pair, each.looks, against.looks) for far in FARS}
        plain = {far: single.threshold(far, *pair) for far in FARS}
        rows.append(
            [accuracy(cosines), (mates > np.quantile(cosines[strange], 1 - FARS[1])).mean()]
            + [(np.diag(cosines - limits[FARS[1]]) > 0).mean()]
            + [
                ((cosines - limit)[strange] > 0).mean() / far
                for known in (limits, plain)
                for far, limit in known.items()
            ]
        )
    means = np.mean(rows, axis=0).tolist()
    keys = [f"{far:g}" for far in FARS]
    return {
        "accuracy": means[0], "tar": means[1], "named": means[2], "false": dict(zip(keys, means[3:5], strict=True)),
        "false_single": dict(zip(keys, means[5:7], strict=True)), "draws": len(drawn), "people": len(against.names),
    }  # fmt: skip


def vote(margins: np.ndarray) -> tuple[int, float]:
    """Who is named by most frames, and the margin that half of all frames give the vote with, or more.

    Args:
        margins: float64 ``[frames, people]``: cosine less the threshold of a single face.
    """
    best, height = margins.argmax(1), margins.max(1)
    winner = int(np.bincount(best).argmax())
    voices = np.sort(np.where(best == winner, height, -np.inf))[::-1]
    return winner, float(voices[(len(margins) - 1) // 2])


Answers = dict[str, list[tuple[bool, float, bool]]]


def answer_all(
    films: dict[str, list[Any]], strangers: dict[str, list[Any]], gallery: Photos, encoder: FaceEncoder, count: int
) -> Answers:
    """Rule -> for each question whether the right one is named, the height of the answer, and whether the asked one is known.

    Templates answer by their margins, frames by votes, and the best frame. Strangers are people who are not in the gallery, and
    each filmed person once more, behind the question about the known one, with the own photo left out.
    """
    tables: Answers = {}
    for name, looks in [*films.items(), *((name, each) for name, each in strangers.items() if len(each) >= FEWEST)]:
        own = gallery.names.index(name) if name in films else None
        for drawn in draw_looks(looks, min(count, len(looks)))[:1]:
            for rule, margins in _margins(drawn, gallery, encoder).items():
                if own is not None:
                    tables.setdefault(rule, []).append((*_answer(margins, rule, own), True))
                    margins = np.delete(margins, own, axis=1)
                tables.setdefault(rule, []).append((*_answer(margins, rule, None), False))
    return tables


def rates(answers: list[tuple[bool, float, bool]] | np.ndarray) -> dict[str, float]:
    """Rank-1 rate, and TPIR at each of ``FPIRS``."""
    right, height, known = np.array(answers, float).T
    known = known > 0
    found = {"rank1": float(right[known].mean())}
    for fpir in FPIRS:
        limit = np.quantile(height[~known], 1 - fpir, method="higher")
        found[f"tpir_{fpir:g}"] = float(((right > 0) & (height > limit))[known].mean())
    return found


def identify(
    films: dict[str, list[Any]], strangers: dict[str, list[Any]], gallery: Photos, encoder: FaceEncoder
) -> list[dict[str, Any]]:
    """Open-set identification by each rule."""
    return [
        {"rule": rule, "frames": count, "strangers": sum(not known for *_, known in answers)} | rates(answers)
        for count in (1, 8, 16, 32)
        for rule, answers in answer_all(films, strangers, gallery, encoder, count).items()
    ]


def _margins(looks: list[Any], gallery: Photos, encoder: FaceEncoder) -> dict[str, np.ndarray]:
    """Rule -> margins over the threshold at FAR 1e-3, float64 ``[frames or 1, people]``."""
    assert encoder.calibration is not None
    found = {}
    for rule in ("mean", "weighted mean"):
        row, detail = template(looks, RULES[rule])
        found[rule] = (
            gallery.rows @ row - encoder.calibration.threshold(FARS[1], detail, gallery.details, len(looks))
        )[None]
    frames = np.stack([look.embedding for look in looks]).astype(np.float64)
    frames /= np.linalg.norm(frames, axis=1, keepdims=True)
    details = np.array([look.detail for look in looks])
    margins = frames @ gallery.rows.T - encoder.calibration.threshold(FARS[1], details[:, None], gallery.details[None])
    return found | {"vote of the frames": margins, "most alike frame": margins}


def _answer(margins: np.ndarray, rule: str, own: int | None) -> tuple[bool, float]:
    """Whether the right one is named, and the height of the answer."""
    if rule == "vote of the frames":
        winner, height = vote(margins)
    else:
        winner = int(margins.max(0).argmax())
        height = float(margins.max())
    return winner == own, height
