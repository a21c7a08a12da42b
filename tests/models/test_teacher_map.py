"""From teachers' embeddings into a family's space."""

from dataclasses import replace

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.models.teacher_map import WEIGHTS, TeacherMap, fit_back, fit_map, join

N, DIMS, OUT = 60, (5, 3), 4


def drawn():
    rng = np.random.default_rng(0)
    parts = [rng.normal(0.5, 1, (N, dim)).astype(np.float32) for dim in DIMS]
    student = rng.standard_normal((N, OUT)).astype(np.float32)
    return parts, student / np.linalg.norm(student, axis=1, keepdims=True)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def made(parts, student, **kw):
    return TeacherMap(("first", "second"), *fit_map(parts, student, 0.3, **kw), {"note": "drawn"})


def test_the_map_is_the_ridge_regression_of_float64():
    parts, student = drawn()
    mapping = made(parts, student)
    rows = [unit(unit(part.astype(np.float64)) - unit(part.astype(np.float64)).mean(0)) for part in parts]
    x = np.concatenate(rows, 1) / np.sqrt(2)
    z, y = x - x.mean(0), student - student.mean(0, dtype=np.float64)
    lam = 0.3 * np.trace(z.T @ z / N) / z.shape[1]
    stacked = np.concatenate([z, np.sqrt(N * lam) * np.eye(z.shape[1])])
    weights = np.linalg.lstsq(stacked, np.concatenate([y, np.zeros((z.shape[1], OUT))]), rcond=None)[0]
    expected = z @ weights + student.mean(0, dtype=np.float64)
    np.testing.assert_allclose(mapping(parts), expected, atol=1e-5)
    np.testing.assert_allclose(join(parts, mapping.centres), x, atol=1e-5)


def test_a_power_lifts_what_the_student_sees_badly_and_keeps_the_directions():
    parts, student = drawn()
    whole, lifted = (made(parts, student, power=power).matrix.astype(np.float64) for power in (1, 0.5))
    left, values, right = np.linalg.svd(whole, full_matrices=False)
    found = left.T @ lifted @ right.T
    np.testing.assert_allclose(found, np.diag(np.sqrt(values * values.max())), atol=1e-5)


def test_the_way_back_is_the_ridge_regression_the_other_way():
    parts, student = drawn()
    own = unit(np.concatenate([unit(part.astype(np.float64)) for part in parts], 1))
    z, y = student - student.mean(0, dtype=np.float64), own - own.mean(0)
    lam = 0.2 * np.trace(z.T @ z / N) / OUT
    stacked = np.concatenate([z, np.sqrt(N * lam) * np.eye(OUT)])
    weights = np.linalg.lstsq(stacked, np.concatenate([y, np.zeros((OUT, y.shape[1]))]), rcond=None)[0]
    mapping = replace(made(parts, student), back=fit_back(parts, student, 0.2))
    np.testing.assert_allclose(mapping.expected(student), unit(z @ weights + own.mean(0)), atol=1e-5)


def test_without_a_way_back_the_mean_of_the_teachers_is_expected():
    parts, student = drawn()
    mapping = made(parts, student)
    mean = unit(np.concatenate([unit(centre.astype(np.float64)) for centre in mapping.centres]))
    np.testing.assert_allclose(mapping.expected(student[:3]), [mean] * 3, atol=1e-6)


def test_the_way_back_and_the_weights_are_written(tmp_path):
    parts, student = drawn()
    mapping = replace(made(parts, student), back=fit_back(parts, student, 0.2), weights=(0.5, 0.4))
    mapping.save(tmp_path / "map.safetensors")
    read = TeacherMap.load(tmp_path / "map.safetensors")
    np.testing.assert_array_equal(read.back, mapping.back)
    assert read.weights == (0.5, 0.4)
    replace(mapping, back=mapping.back[:, 1:]).save(tmp_path / "short")
    with pytest.raises(LrfaceError, match="damaged"):
        TeacherMap.load(tmp_path / "short")


def test_what_is_written_is_read(tmp_path):
    parts, student = drawn()
    mapping = made(parts, student)
    mapping.save(tmp_path / "map.safetensors")
    read = TeacherMap.load(tmp_path / "map.safetensors")
    np.testing.assert_array_equal(read(parts), mapping(parts))
    assert (read.fingerprints, read.facts, read.dim) == (("first", "second"), {"note": "drawn"}, OUT)
    assert (read.back, read.weights) == (None, WEIGHTS)


@pytest.mark.parametrize(
    ("given", "message"),
    [(("first", "other"), "another teacher 2"), (("first",), "for 2 teachers, not 1")],
)
def test_it_is_for_its_own_teachers(given, message):
    mapping = made(*drawn())
    mapping.check(("first", "second"), "map")
    with pytest.raises(LrfaceError, match=message):
        mapping.check(given, "map")


def test_files_that_are_none_are_named(tmp_path):
    with pytest.raises(LrfaceError, match="no teacher map"):
        TeacherMap.load(tmp_path / "none")
    (tmp_path / "noise").write_bytes(b"noise" * 10)
    with pytest.raises(LrfaceError, match="not a teacher map"):
        TeacherMap.load(tmp_path / "noise")
    mapping = made(*drawn())
    broken = TeacherMap(mapping.fingerprints, mapping.centres, mapping.matrix[:, 1:], mapping.bias)
    broken.save(tmp_path / "broken")
    with pytest.raises(LrfaceError, match="damaged"):
        TeacherMap.load(tmp_path / "broken")
