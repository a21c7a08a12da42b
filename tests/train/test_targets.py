"""Centred targets of one and of several teachers, against the definition in float64."""

import numpy as np

from lrface.train.targets import centred_targets


def parts(dims, images=60, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(2, images, dim)).astype(np.float32) * (5 + dim) for dim in dims]


def centre(embeddings, train):
    unit = embeddings.astype(np.float64) / np.linalg.norm(embeddings.astype(np.float64), axis=-1, keepdims=True)
    return unit - unit[:, train].reshape(-1, unit.shape[2]).mean(0)


def cosines(embeddings):
    unit = embeddings.astype(np.float64) / np.linalg.norm(embeddings.astype(np.float64), axis=-1, keepdims=True)
    return unit @ unit.transpose(0, 2, 1)


def test_the_cosine_is_the_mean_of_the_teachers_cosines():
    teachers = parts((8, 3))
    joined = centred_targets(teachers, np.arange(60), 64)
    assert joined.shape == (2, 60, 11)
    assert joined.dtype == np.float32
    expected = sum(cosines(centre(teacher, np.arange(60))) for teacher in teachers) / 2
    np.testing.assert_allclose(cosines(joined), expected, atol=1e-6)


def test_what_all_faces_share_is_taken_off():
    (teacher,) = parts((16,))
    train = np.arange(0, 60, 2)
    shifted = teacher / np.linalg.norm(teacher, axis=2, keepdims=True) + 10
    assert cosines(shifted).min() > 0.9
    target = centred_targets([shifted], train, 16)
    np.testing.assert_allclose(cosines(target), cosines(centre(shifted, train)), atol=1e-4)
    assert np.abs(cosines(target).mean()) < 0.05


def test_a_shorter_target_keeps_the_cosines_of_faces_that_spread_over_few_directions():
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(2, 60, 4)).astype(np.float32)
    teachers = [hidden @ rng.normal(size=(4, 12)).astype(np.float32) for _ in range(2)]
    whole = centred_targets(teachers, np.arange(60), 24)
    short = centred_targets(teachers, np.arange(60), 8)  # two teachers of rank 4
    assert short.shape == (2, 60, 8)
    np.testing.assert_allclose(cosines(short), cosines(whole), atol=1e-5)


def test_the_projection_is_the_best_of_its_rank_on_the_training_images():
    teachers, train = parts((10, 10)), np.arange(0, 60, 2)
    whole = centred_targets(teachers, train, 20)[0, train].astype(np.float64)
    short = centred_targets(teachers, train, 5)[0, train].astype(np.float64)
    values = np.linalg.svd(whole, compute_uv=False)
    error = np.square(whole @ whole.T - short @ short.T).sum()
    np.testing.assert_allclose(error, (values[5:] ** 4).sum(), rtol=1e-3)


def test_one_image_gives_the_same_target_whatever_stands_beside_it():
    teachers = parts((6, 6))
    whole = centred_targets(teachers, np.arange(40), 7)
    np.testing.assert_allclose(
        centred_targets([part[:, :50] for part in teachers], np.arange(40), 7), whole[:, :50], atol=1e-6
    )
