import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import nms

from lrface.errors import LrfaceError
from lrface.faces.detect import create_detector, mtcnn_backend
from lrface.faces.detect.boxes import suppress
from lrface.faces.detect.mtcnn_backend import _inside, _reduce, _sums

#: What ``facenet_pytorch.MTCNN`` 2.6.0 (``keep_all=True, select_largest=False``) gives for ``pictures``: score, box and
#: landmarks of each face, best first.
REFERENCE = [
    [
        (0.999998, (181.051, 62.156, 267.747, 172.05),
         ((205.011, 101.727), (246.763, 103.714), (224.671, 128.965), (201.716, 139.246), (245.265, 141.857))),
    ],
    [
        (0.999959, (179.826, 60.218, 267.891, 173.778),
         ((205.142, 100.878), (247.838, 103.543), (225.692, 129.329), (202.801, 139.193), (245.701, 142.231))),
        (0.99992, (752.449, 62.003, 843.497, 173.016),
         ((777.495, 104.595), (820.094, 101.563), (799.488, 128.943), (778.933, 142.103), (823.005, 139.915))),
    ],
    [
        (0.999977, (108.328, 22.507, 154.378, 70.391),
         ((120.199, 39.817), (143.803, 40.555), (131.82, 50.807), (119.132, 55.973), (143.264, 56.903))),
    ],
    [
        (0.999995, (29.823, 20.378, 119.181, 135.491),
         ((54.531, 61.08), (97.738, 64.435), (74.629, 89.32), (51.825, 99.796), (95.572, 103.342))),
    ],
]  # fmt: skip


@pytest.fixture(scope="module")
def pictures():
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    astronaut = data.astronaut()
    crowd = np.vstack([np.hstack([astronaut[:300], astronaut[:300, ::-1]]), np.hstack([data.coffee()[:, :512]] * 2)])
    return [astronaut, crowd, cv2.resize(astronaut, (300, 200)), astronaut[40:200, 150:300]]


@pytest.mark.parametrize("index", range(4))
def test_equals_the_reference(pictures, index):
    faces = create_detector("mtcnn").detect(pictures[index])
    assert len(faces) == len(REFERENCE[index])
    for face, (score, box, landmarks) in zip(faces, REFERENCE[index], strict=True):
        np.testing.assert_allclose(face.box, box, atol=0.01)
        np.testing.assert_allclose(face.landmarks, landmarks, atol=0.01)
        assert face.score == pytest.approx(score, abs=1e-5)


def test_batches_change_nothing(pictures, monkeypatch):
    whole = create_detector("mtcnn").detect(pictures[1])
    monkeypatch.setattr(mtcnn_backend, "_BATCH", 3)
    for face, other in zip(create_detector("mtcnn").detect(pictures[1]), whole, strict=True):
        np.testing.assert_allclose(face.landmarks, other.landmarks, atol=0.01)


def test_a_face_of_thirty_pixels(pictures):
    image = cv2.resize(pictures[0][20:220, 120:320], (64, 64), interpolation=cv2.INTER_AREA)
    (face,) = create_detector("mtcnn").detect(image)
    expected = (np.array([[204, 101], [247, 103], [225, 129], [201, 139], [246, 141]]) - [120, 20]) * 64 / 200
    assert np.abs(face.landmarks - expected).max() < 2


def test_threads_and_device_reach_every_network(monkeypatch):
    given = []
    monkeypatch.setattr(
        mtcnn_backend, "open_session", lambda path, *options, **flags: given.append((path.name, options))
    )
    create_detector("mtcnn", "cuda:1", threads=3)
    assert [(name, options[:2]) for name, options in given] == [
        (f"{name}.onnx", ("cuda:1", 3)) for name in ("pnet", "rnet", "onet")
    ]


def test_cuda_without_cuda(monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(LrfaceError, match="cannot use CUDA: install onnxruntime-gpu"):
        create_detector("mtcnn", device="cuda")


@pytest.fixture
def installed_at(monkeypatch):
    def install(folder):
        spec = type("Spec", (), {"submodule_search_locations": (str(folder),)})
        monkeypatch.setattr("lrface.faces.detect.mtcnn_backend.find_spec", lambda package: spec)

    return install


def test_a_damaged_installation_is_named(tmp_path, installed_at):
    installed_at(tmp_path)
    with pytest.raises(LrfaceError, match=r"pnet\.onnx: pip install"):
        create_detector("mtcnn")
    (tmp_path / "pnet.onnx").write_bytes(b"not a network")
    with pytest.raises(LrfaceError, match=r"pnet\.onnx is not an ONNX model.*install it again") as raised:
        create_detector("mtcnn")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("area", "size"),
    [
        ((0, 0, 50, 40), (30, 24)),
        ((0, 0, 50, 40), (50, 40)),
        ((3, 5, 20, 11), (24, 24)),  # enlarged in both directions
        ((10, 0, 49, 39), (48, 48)),
        ((7, 8, 8, 9), (24, 24)),  # a single pixel
        ((0, 0, 50, 40), (1, 1)),
    ],
)
def test_reduction_is_adaptive_average_pooling(area, size):
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found = _reduce(_sums(image), np.array([area, area]), *size)
    part = torch.tensor(image[area[1] : area[3], area[0] : area[2]]).permute(2, 1, 0)[None].float()
    expected = (F.adaptive_avg_pool2d(part, size) - 127.5) / 128
    assert found.dtype == np.float32
    for one in found:
        np.testing.assert_allclose(one, expected[0].permute(1, 2, 0), atol=1e-6)


def test_sums_of_the_largest_image_fit():
    side = mtcnn_backend.MAX_SIDE
    assert _sums(np.full((side, side, 3), 255, np.uint8))[-1, -1].tolist() == [255 * side**2] * 3


def test_boxes_outside_the_image_are_dropped():
    boxes = np.array(
        [
            [1.0, 1, 50, 40, 0.9],  # all of it, as counting starts at 1
            [-90, -90, -50, -50, 0.8],
            [60, 10, 90, 30, 0.8],
            [41, 31, 90, 90, 0.7],  # the last 10 x 10 pixels
            [10, 30, 10, 10, 0.6],  # upside down
        ],
        np.float32,
    )
    kept, areas = _inside(boxes, 50, 40)
    assert kept.tolist() == [0, 3]
    assert areas.tolist() == [[0, 0, 50, 40], [40, 30, 50, 40]]
    assert _inside(boxes[1:3], 50, 40)[1].shape == (0, 4)


@pytest.mark.parametrize("threshold", [0.5, 0.7])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_suppression_is_that_of_torchvision(threshold, count):
    rng = np.random.default_rng(count)
    corner = rng.integers(0, 40, (count, 2))
    scores = rng.choice(np.linspace(0.6, 1, 20), (count, 1))  # equal ones too
    boxes = np.hstack([corner, corner + rng.integers(5, 30, (count, 2)), scores]).astype(np.float32)
    expected = nms(torch.tensor(boxes[:, :4]), torch.tensor(boxes[:, 4]), threshold)
    assert suppress(boxes, threshold).tolist() == expected.tolist()


def test_contained_boxes_are_suppressed():
    boxes = np.array(
        [
            [30.0, 30, 50, 50, 0.8],  # inside the next one
            [0, 0, 100, 100, 0.9],
            [90, 90, 190, 190, 0.95],  # touches it
            [0, 0, 100, 100, 0.85],
        ],
        np.float32,
    )
    assert suppress(boxes, 0.7, contained=True).tolist() == [2, 1]
    assert suppress(boxes, 0.7).tolist() == [2, 1, 0]
    assert suppress(boxes[:0], 0.7, contained=True).tolist() == []
