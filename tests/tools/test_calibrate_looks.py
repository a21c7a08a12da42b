"""Templates' thresholds from looks whose noise is known."""

import numpy as np
import pytest
from calibrate_looks import COUNTS, draw_looks, fit

from lrface.errors import LrfaceError
from lrface.faces.calibration import Calibration
from lrface.video.look import Look

DIM = 16


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture
def world():
    """Thirty people filmed with much noise, and two hundred photos of others; all share a direction."""
    rng = np.random.default_rng(0)
    common = unit(rng.normal(size=DIM))
    people = unit(common + 0.5 * unit(rng.normal(size=(230, DIM))))
    films = {}
    for number in range(30):
        rows = unit(people[number] + 0.6 * unit(rng.normal(size=(40, DIM))))
        looks = [Look(np.zeros(4), 0.9, 12.0, 0.8, row.astype(np.float16)) for row in rows]
        films[f"film:p{number}"] = looks
    photos = people[30:].astype(np.float32)
    return films, photos, np.full(200, 12.0), np.array([f"q{number}" for number in range(200)])


@pytest.fixture
def calibration(world):
    films, photos, _, _ = world
    cosines = np.concatenate([photos @ look.embedding.astype(float) for looks in films.values() for look in looks])
    tables = {far: np.full((2, 2), np.quantile(cosines, 1 - far)) for far in (0.1, 0.01, 0.001, 0.0001)}
    return Calibration(np.array([4.0, 16.0]), tables, {0.5: np.ones((2, 2))}, np.zeros((2, 4)), np.ones(2))


def test_less_noise_asks_for_more(world, calibration):
    looks = fit(*world, calibration)
    row = looks.shifts[0.01]
    assert abs(row[0]) < 0.01  # one look is one face
    assert (np.diff(row[:4]) > 0).all()
    assert row[-1] > 0.03


def test_the_rate_is_kept(world, calibration):
    from dataclasses import replace

    from calibrate_looks import make_template

    films, photos, details, _ = world
    shifted = replace(calibration, looks=fit(*world, calibration))
    templates = [make_template(part) for looks in films.values() for part in draw_looks(looks, 8)]
    rates = {}
    for label, count in (("single", None), ("template", 8)):
        limits = shifted.threshold(0.01, 12, details, count)
        rates[label] = np.mean([(photos @ each.embedding > limits).mean() for each in templates])
    assert rates["template"] == pytest.approx(0.01, abs=0.002)
    assert rates["single"] > 2 * rates["template"]


def test_own_photos_are_no_strangers(world, calibration):
    films, photos, details, owners = world
    before = fit(films, photos, details, owners, calibration)
    mates = np.stack([looks[0].embedding for looks in films.values()]).astype(np.float32)
    names = [name.split(":")[1] for name in films]
    after = fit(films, np.concatenate([photos, mates[:1]]), np.r_[details, 12.0], np.r_[owners, names[:1]], calibration)
    first = {name: looks for name, looks in films.items() if name.endswith(":p0")}
    with pytest.raises(LrfaceError, match="too few"):
        fit(first, mates[:1], details[:1], np.array(names[:1]), calibration)
    assert after.shifts[0.01] == pytest.approx(before.shifts[0.01], abs=0.02)


def test_draws_are_apart_and_spread():
    looks = list(range(34))
    for count in COUNTS:
        draws = draw_looks(looks, count)
        taken = [look for draw in draws for look in draw]
        assert all(len(draw) == count for draw in draws)
        assert len(set(taken)) == len(taken)
    assert draw_looks(looks, 16)[0][0] == 0
    assert max(draw_looks(looks, 16)[0]) > 30
    assert draw_looks(looks, 40) == []


def test_too_short_a_film_is_said(world, calibration):
    films, *rest = world
    with pytest.raises(LrfaceError, match="film longer clips"):
        fit({name: looks[:10] for name, looks in films.items()}, *rest, calibration)
