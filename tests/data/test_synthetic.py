"""Drawn faces: the same numbers give the same bytes, and folders are written whole, resumably and unmixed."""

from dataclasses import FrozenInstanceError, fields, replace

import cv2
import numpy as np
import pytest

from lrface.data import synthetic
from lrface.data.synthetic import RANGES, face, faces, generate, render, sample_identity, sample_nuisance
from lrface.data.synthetic.features import landmarks
from lrface.data.synthetic.picture import restyled
from lrface.data.synthetic.sketch import Head, curve
from lrface.errors import LrfaceError

TEMPLATE = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]


def plain(seed: int = 0) -> synthetic.Nuisance:
    """Circumstances without anything that hides the face or spoils the picture."""
    return replace(
        sample_nuisance(np.random.default_rng(seed)),
        yaw=0.0,
        pitch=0.0,
        landmark_error=(0.0,) * 10,
        light_strength=0.3,
        shadow=(0.0, 0.0, 0.0),
        exposure=1.0,
        gamma=1.0,
        saturation=1.0,
        tint=(1.0, 1.0, 1.0),
        eye_closure=0.0,
        mouth_open=0.0,
        smile=0.0,
        hair_change=0.0,
        occlusion="none",
        blur=0.0,
        motion=(0.0, 0.0),
        noise=0.0,
        jpeg=0,
    )


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.jpg"))}


class TestIdentity:
    def test_same_number_is_the_same_person_and_another_number_another(self):
        people = [sample_identity(number) for number in range(50)]
        sample_identity.cache_clear()
        assert [sample_identity(number) for number in reversed(range(50))] == people[::-1]
        assert len(set(people)) == 50

    def test_parameters_lie_in_their_ranges_and_use_them(self):
        people = [sample_identity(number) for number in range(400)]
        for name, (low, high) in RANGES.items():
            values = np.array([getattr(person, name) for person in people])
            assert values.min() >= low, name
            assert values.max() <= high, name
            assert np.ptp(values) > 0.6 * (high - low), name

    def test_every_field_is_a_range_or_a_detail(self):
        assert {field.name for field in fields(synthetic.Identity)} - set(RANGES) == {"bald", "moles", "detail_seed"}

    def test_is_frozen(self):
        with pytest.raises(FrozenInstanceError):
            sample_identity(0).bald = True

    @pytest.mark.parametrize("number", [-1, 1.5, True, "3", None])
    def test_refuses_what_is_not_a_number_of_a_person(self, number):
        with pytest.raises(LrfaceError, match="identity's number"):
            sample_identity(number)


class TestNuisance:
    def test_same_generator_state_gives_the_same_circumstances(self):
        assert sample_nuisance(np.random.default_rng(7)) == sample_nuisance(np.random.default_rng(7))
        assert sample_nuisance(np.random.default_rng(7)) != sample_nuisance(np.random.default_rng(8))

    def test_values_are_possible_and_every_occlusion_happens(self):
        drawn = [sample_nuisance(np.random.default_rng(seed)) for seed in range(600)]
        assert {nuisance.occlusion for nuisance in drawn} == set(synthetic.OCCLUSIONS)
        for nuisance in drawn:
            assert abs(nuisance.yaw) <= 0.62
            assert abs(nuisance.pitch) <= 0.32
            assert nuisance.eye_closure <= 1
            assert nuisance.blur >= 0
            assert nuisance.noise >= 0
            assert nuisance.jpeg == 0 or 35 <= nuisance.jpeg <= 90
            assert all(0 <= value <= 255 for value in (*nuisance.occlusion_colour, *nuisance.clothes))


class TestRender:
    @pytest.mark.parametrize("size", [8, 16, 48, 95, 96, 112, 113, 160, 224])
    def test_gives_rgb_bytes_of_the_asked_size(self, size):
        picture = face(3, 1, seed=0, size=size)
        assert picture.dtype == np.uint8
        assert picture.shape == (size, size, 3)
        assert picture.std() > 5

    def test_every_size_shows_the_same_scene(self):
        large = render(sample_identity(5), plain(), 224)
        small = render(sample_identity(5), plain(), 112)
        reduced = cv2.resize(large, (112, 112), interpolation=cv2.INTER_AREA)
        assert np.abs(reduced.astype(float) - small).mean() < 4

    @pytest.mark.parametrize("size", [0, 7, 1025, 112.0, True, "112"])
    def test_refuses_a_nonsense_size(self, size):
        with pytest.raises(LrfaceError, match="size"):
            render(sample_identity(0), plain(), size)

    def test_same_person_and_circumstances_give_the_same_bytes(self):
        nuisance = sample_nuisance(np.random.default_rng(3))
        first = render(sample_identity(9), nuisance)
        render(sample_identity(10), sample_nuisance(np.random.default_rng(4)))
        assert np.array_equal(render(sample_identity(9), nuisance), first)

    def test_both_the_person_and_the_circumstances_show(self):
        one = render(sample_identity(1), plain(0))
        assert np.abs(one.astype(float) - render(sample_identity(2), plain(0))).mean() > 3
        assert np.abs(one.astype(float) - render(sample_identity(1), plain(1))).mean() > 3

    @pytest.mark.parametrize(
        "change",
        [
            {"iris_hue": 1.0, "iris_shade": 0.0, "skin_tone": 0.0},
            {"moles": ((12.0, 5.0, 1.4),)},
            {"freckles": 1.0},
            {"brow_arch": 3.6},
            {"nose_width": 8.8},
            {"upper_lip": 3.6},
            {"lid_fold": 1.0},
        ],
    )
    def test_small_things_of_a_person_show_at_112(self, change):
        rest = {"iris_hue": 0.0, "iris_shade": 1.0, "skin_tone": 0.1, "moles": (), "freckles": 0.0, "brow_arch": 0.0}
        rest |= {"nose_width": 5.0, "upper_lip": 1.0, "lid_fold": 0.0, "glasses": 0.0, "hair_fringe": 0.0}
        person = replace(sample_identity(4), **rest)
        other = render(replace(person, **change), plain())
        assert np.abs(render(person, plain()).astype(int) - other).max() > 25

    @pytest.mark.parametrize("occlusion", ["patch", "sunglasses", "scarf", "hat"])
    def test_occlusions_hide_something(self, occlusion):
        nuisance = replace(plain(), occlusion_place=(56.0, 60.0, 30.0, 30.0), occlusion_colour=(250.0, 0.0, 250.0))
        bare = render(sample_identity(6), nuisance).astype(int)
        hidden = render(sample_identity(6), replace(nuisance, occlusion=occlusion))
        assert (np.abs(bare - hidden).max(2) > 40).mean() > 0.02

    def test_expression_changes_the_mouth_and_not_the_forehead(self):
        person, nuisance = replace(sample_identity(7), bald=True, age=0.0, beard=0.0, moustache=0.0), plain()
        opened = render(person, replace(nuisance, mouth_open=6.0)).astype(int)
        difference = np.abs(opened - render(person, nuisance)).max(2)
        assert difference[85:108, 40:72].mean() > 4 * difference[15:35, 30:80].mean()

    def test_grooming_leaves_the_face_itself_alone(self):
        person = replace(sample_identity(8), beard=0.8, moustache=0.0)
        nuisance = replace(plain(), hair_change=1.0, hair_style=(0.0,) * 5, shave=0.0)
        groomed = restyled(person, nuisance)
        changed = {
            field.name for field in fields(person) if getattr(person, field.name) != getattr(groomed, field.name)
        }
        assert changed == {"beard", "hair_length", "hair_part", "hair_fringe", "hair_volume", "hair_shade"}
        assert restyled(person, replace(nuisance, hair_change=0.0, shave=1.0)) == person


class TestAlignment:
    def test_landmarks_fall_on_the_template_up_to_the_persons_own_geometry(self):
        nuisance, places = plain(), []
        for number in range(200):
            person = sample_identity(number)
            points = landmarks(person, nuisance)
            places.append(Head(person, nuisance, points).place(points, np.array([0, 0, person.nose_depth, 0, 0])))
        assert np.abs(np.mean(places, 0) - TEMPLATE).max() < 2.5
        assert np.abs(np.array(places) - TEMPLATE).max() < 9

    def test_is_the_similarity_that_umeyama_finds(self):
        # Oracle: the least-squares similarity as a linear system in a, b, tx, ty.
        nuisance = replace(plain(), yaw=0.4, pitch=-0.2)
        person = sample_identity(11)
        points = landmarks(person, nuisance)
        placed = Head(person, nuisance, points).place(points, np.array([0, 0, person.nose_depth, 0, 0]))
        system = np.zeros((10, 4))
        system[0::2] = np.c_[placed[:, 0], -placed[:, 1], np.ones(5), np.zeros(5)]
        system[1::2] = np.c_[placed[:, 1], placed[:, 0], np.zeros(5), np.ones(5)]
        # What is already best aligned is moved no further.
        solution = np.linalg.lstsq(system, np.array(TEMPLATE).ravel(), rcond=None)[0]
        np.testing.assert_allclose(solution, [1, 0, 0, 0], atol=1e-6)

    def test_yaw_moves_the_nose_against_the_outline(self):
        person, tip = sample_identity(12), np.array([[0.0, 0.0]])
        ears = np.array([[-person.face_width, -12.0], [person.face_width, -12.0]])
        offset = {}
        for yaw in (-0.4, 0.4):
            nuisance = replace(plain(), yaw=yaw)
            head = Head(person, nuisance, landmarks(person, nuisance))
            nose = head.place(tip, np.array([person.nose_depth]))[0, 0]
            offset[yaw] = nose - head.place(ears, np.zeros(2))[:, 0].mean()
        assert offset[-0.4] < -8 < 8 < offset[0.4]

    def test_curves_pass_through_their_control_points(self):
        control = [(0.0, 0.0), (1.0, 3.0), (4.0, 2.0), (5.0, -1.0)]
        np.testing.assert_allclose(curve(control, steps=4)[::4], control, atol=1e-12)
        np.testing.assert_allclose(curve(control, closed=True, steps=3)[::3], control, atol=1e-12)


class TestFaces:
    def test_shapes_labels_and_identities_from_an_offset(self):
        images, labels = faces(20, 3, 2, seed=1, size=32)
        assert images.shape == (6, 32, 32, 3)
        assert images.dtype == np.uint8
        assert labels.dtype == np.int64
        assert labels.tolist() == [20, 20, 21, 21, 22, 22]

    def test_a_picture_does_not_depend_on_what_is_drawn_with_it(self):
        images, _ = faces(20, 3, 4, seed=1, size=64)
        again, _ = faces(21, 1, 2, seed=1, size=64)
        assert np.array_equal(images[4:6], again)

    def test_the_seed_changes_the_pictures_and_no_two_pictures_are_alike(self):
        images, _ = faces(0, 2, 3, seed=1, size=32)
        others, _ = faces(0, 2, 3, seed=2, size=32)
        assert len({image.tobytes() for image in (*images, *others)}) == 12

    def test_pixels_alone_hardly_tell_who_it_is_at_16(self):
        images, labels = faces(0, 40, 6, seed=0, size=16)
        flat = images.reshape(len(images), -1) - images.reshape(len(images), -1).mean(0)
        flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        similarity = flat @ flat.T
        same = labels[:, None] == labels
        np.fill_diagonal(same, False)
        genuine, impostor = similarity[same], similarity[labels[:, None] != labels]
        threshold = (np.median(genuine) + np.median(impostor)) / 2
        accuracy = ((genuine > threshold).mean() + (impostor <= threshold).mean()) / 2
        assert 0.5 < accuracy < 0.75

    @pytest.mark.parametrize(
        "arguments",
        [
            (-1, 1, 1, 0, 112),
            (0, 0, 1, 0, 112),
            (0, 1, 0, 0, 112),
            (0, 1, 1, -2, 112),
            (0, 1, 1, 0, 4),
            (0, 1.5, 1, 0, 9),
        ],
    )
    def test_refuses_nonsense(self, arguments):
        with pytest.raises(LrfaceError, match="synthetic faces: "):
            faces(*arguments)


class TestGenerate:
    def test_writes_a_folder_per_identity_of_the_pictures_that_faces_draws(self, tmp_path):
        assert generate(tmp_path / "set", 2, 3, 5, first_identity=7, size=96, progress=False) == 6
        written = files(tmp_path / "set")
        assert sorted(written) == [f"{person:05d}/{number:04d}.jpg" for person in (7, 8) for number in range(3)]
        images, _ = faces(7, 2, 3, seed=5, size=96)
        for image, (_, data) in zip(images, sorted(written.items()), strict=True):
            read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
            assert read.shape == (96, 96, 3)
            assert np.corrcoef(read.ravel(), image.ravel())[0, 1] > 0.93

    def test_bytes_do_not_depend_on_the_workers(self, tmp_path):
        generate(tmp_path / "one", 3, 2, 5, size=96, progress=False)
        generate(tmp_path / "two", 3, 2, 5, size=96, workers=2, progress=False)
        assert files(tmp_path / "one") == files(tmp_path / "two")

    def test_complete_pictures_stay_and_broken_ones_are_drawn_again(self, tmp_path):
        generate(tmp_path, 2, 3, 5, size=96, progress=False)
        before = files(tmp_path)
        stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
        truncated, empty, missing = (tmp_path / "00001" / f"{number:04d}.jpg" for number in range(3))
        truncated.write_bytes(truncated.read_bytes()[:-100])
        empty.write_bytes(b"")
        missing.unlink()
        assert generate(tmp_path, 2, 3, 5, size=96, progress=False) == 3
        assert files(tmp_path) == before
        for number in range(3):
            path = tmp_path / "00000" / f"{number:04d}.jpg"
            assert path.stat().st_mtime_ns == stamps[path]

    def test_a_set_can_grow_and_share_its_folder_with_other_identities(self, tmp_path):
        generate(tmp_path, 1, 2, 5, size=96, progress=False)
        assert generate(tmp_path, 2, 3, 5, size=96, progress=False) == 4
        assert generate(tmp_path, 1, 1, 5, first_identity=50, size=96, progress=False) == 1
        assert generate(tmp_path, 2, 3, 5, size=96, progress=False) == 0

    def test_an_interrupted_picture_leaves_nothing(self, tmp_path, monkeypatch):
        module = generate.__globals__
        whole = module["face"]

        def interrupted(identity, number, seed, size):
            if number == 2:
                raise KeyboardInterrupt
            return whole(identity, number, seed, size)

        monkeypatch.setitem(module, "face", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate(tmp_path, 1, 4, 5, size=96, progress=False)
        assert sorted(files(tmp_path)) == ["00000/0000.jpg", "00000/0001.jpg"]
        monkeypatch.undo()
        assert generate(tmp_path, 1, 4, 5, size=96, progress=False) == 2

    def test_a_failed_write_leaves_the_old_file_and_no_rubbish(self, tmp_path, monkeypatch):
        generate(tmp_path, 1, 1, 5, size=96, progress=False)
        path = tmp_path / "00000" / "0000.jpg"
        path.write_bytes(b"broken")

        def full(self, data):
            with self.open("wb") as file:
                file.write(data[:50])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(LrfaceError, match="No space left"):
            generate(tmp_path, 1, 1, 5, size=96, progress=False)
        assert path.read_bytes() == b"broken"
        assert [entry.name for entry in path.parent.iterdir()] == ["0000.jpg"]

    @pytest.mark.parametrize("other", [{"seed": 6}, {"size": 112}])
    def test_refuses_to_mix_two_sets(self, tmp_path, other):
        generate(tmp_path, 1, 1, seed=5, size=96, progress=False)
        before = files(tmp_path)
        with pytest.raises(LrfaceError, match="another folder"):
            generate(tmp_path, 1, 2, **({"seed": 5, "size": 96} | other), progress=False)
        assert files(tmp_path) == before

    def test_refuses_a_folder_of_other_things(self, tmp_path):
        (tmp_path / "holiday.jpg").write_bytes(b"x")
        with pytest.raises(LrfaceError, match="not drawn by lrface"):
            generate(tmp_path, 1, 1, 0, progress=False)
        assert [entry.name for entry in tmp_path.iterdir()] == ["holiday.jpg"]

    def test_refuses_a_file_as_folder(self, tmp_path):
        (tmp_path / "file").write_bytes(b"x")
        with pytest.raises(LrfaceError, match="cannot write"):
            generate(tmp_path / "file", 1, 1, 0, progress=False)

    @pytest.mark.parametrize(
        "arguments",
        [
            {"identities": 0},
            {"images_per_identity": -1},
            {"seed": -1},
            {"first_identity": -1},
            {"size": 5},
            {"workers": 0},
            {"workers": 1.5},
        ],
    )
    def test_refuses_nonsense_before_writing(self, tmp_path, arguments):
        name = next(iter(arguments))
        sane = {"identities": 1, "images_per_identity": 1, "seed": 0, "progress": False}
        with pytest.raises(LrfaceError, match=name):
            generate(tmp_path / "out", **(sane | arguments))
        assert not (tmp_path / "out").exists()
