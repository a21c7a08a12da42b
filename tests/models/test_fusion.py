"""The top rung's embeddings against sums written out."""

from dataclasses import replace

import numpy as np
import pytest

from lrface.data.synthetic import face
from lrface.models.embedder import Embedder
from lrface.models.fusion import Fusion, TeacherNetwork
from lrface.models.preprocessing import Preprocessing
from lrface.models.teacher_map import TeacherMap, normalised, side_by_side

DIM, WIDTHS = 6, (4, 3)
SHARP_WEIGHT, STUDENT_WEIGHT = 0.15, 0.3


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def fusion(rng):
    centres = tuple(rng.normal(0, 0.5, width).astype(np.float32) for width in WIDTHS)
    matrix = rng.standard_normal((DIM, sum(WIDTHS))).astype(np.float32)
    return Fusion(TeacherMap(("a", "b"), centres, matrix, rng.standard_normal(DIM).astype(np.float32)))


def rows(rng, count, *widths):
    return side_by_side([rng.standard_normal((count, width)).astype(np.float32) for width in widths])


def test_all_embeddings_have_unit_length(fusion, rng):
    found = [fusion.students(rows(rng, 5, DIM)), fusion.sharp(rows(rng, 5, DIM), rows(rng, 5, *WIDTHS))]
    for part in found:
        assert part.shape == (5, fusion.dim)
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=1e-6)


def test_two_faces_of_students_are_ordered_as_the_students_order_them(fusion, rng):
    a, b = rows(rng, 8, DIM), rows(rng, 8, DIM)
    found = np.einsum("nd,nd->n", fusion.students(a), fusion.students(b))
    expected = 1 - STUDENT_WEIGHT + STUDENT_WEIGHT * np.einsum("nd,nd->n", a, b)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_two_sharp_faces_are_compared_by_both_parts(fusion, rng):
    student, own = rows(rng, 2, DIM).astype(np.float64), rows(rng, 2, *WIDTHS).astype(np.float64)
    mapping, mapped = fusion.mapping, []
    for row in own:
        parts = [
            row[:4] / np.linalg.norm(row[:4]) - mapping.centres[0],
            row[4:] / np.linalg.norm(row[4:]) - mapping.centres[1],
        ]
        joined = np.concatenate([part / np.linalg.norm(part) for part in parts]) / np.sqrt(2)
        mapped.append(mapping.matrix.astype(np.float64) @ joined + mapping.bias)
    common = [s + m / np.linalg.norm(m) for s, m in zip(student, mapped, strict=True)]
    cosine = common[0] @ common[1] / np.linalg.norm(common[0]) / np.linalg.norm(common[1])
    found = fusion.sharp(student.astype(np.float32), own.astype(np.float32))
    expected = SHARP_WEIGHT * cosine + (1 - SHARP_WEIGHT) * own[0] @ own[1]
    assert found[0] @ found[1] == pytest.approx(expected, abs=1e-5)


def test_a_sharp_face_and_a_small_one_meet_in_the_shared_part(fusion, rng):
    student, own, small = rows(rng, 1, DIM), rows(rng, 1, *WIDTHS), rows(rng, 1, DIM)
    sharp = fusion.sharp(student, own)
    mean = side_by_side(fusion.mapping.centres)
    shared = np.sqrt(STUDENT_WEIGHT) * sharp[0, :DIM] @ small[0]
    expected = shared + np.sqrt((1 - SHARP_WEIGHT) * (1 - STUDENT_WEIGHT)) * own[0] @ mean
    assert float(sharp[0] @ fusion.students(small)[0]) == pytest.approx(float(expected), abs=1e-6)


@pytest.fixture
def way_back(fusion, rng):
    """A fusion that predicts the teachers' embedding, with its own weights."""
    return Fusion(
        replace(fusion.mapping, back=rng.standard_normal((sum(WIDTHS), DIM + 1)).astype(np.float32), weights=(0.6, 0.2))
    )


def test_a_small_face_has_the_embedding_that_is_to_be_expected_of_the_teachers(way_back, rng):
    small = rows(rng, 3, DIM)
    found = way_back.students(small)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    for row, face_ in zip(found.astype(np.float64), small.astype(np.float64), strict=True):
        back = way_back.mapping.back.astype(np.float64)
        predicted = np.array([line[:-1] @ face_ + line[-1] for line in back])
        expected = [*(np.sqrt(0.2) * face_), *(np.sqrt(0.8) * predicted / np.linalg.norm(predicted))]
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_the_weights_of_the_map_count(way_back, fusion, rng):
    student, own = rows(rng, 2, DIM), rows(rng, 2, *WIDTHS)
    shared, plain = way_back.sharp(student, own)[:, :DIM], fusion.sharp(student, own)[:, :DIM]
    np.testing.assert_allclose(shared / np.sqrt(0.6), plain / np.sqrt(SHARP_WEIGHT), atol=1e-6)


class Sum:
    """A network that sees exactly the pixels that it is given."""

    def __call__(self, batch):
        return batch.reshape(len(batch), 3, -1)[:, :, :2].reshape(len(batch), -1)


def test_a_network_of_teachers_gives_back_the_pixels():
    teachers = [Embedder(Sum(), Preprocessing(112), name, {}) for name in "ab"]
    crop = face(0, 0, seed=1)
    expected = side_by_side([teacher.embed([crop]) for teacher in teachers])
    np.testing.assert_allclose(TeacherNetwork(teachers)(Preprocessing(112).batch(crop[None])), expected, atol=1e-5)
    np.testing.assert_allclose(normalised(expected), expected, atol=1e-6)
