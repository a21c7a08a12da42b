"""A folder of made-up people: smooth patterns, not faces, for nothing here looks at them."""

from pathlib import Path

import numpy as np
import pytest

#: Person -> images. Six have four or more; three have one.
PEOPLE = {f"p{number}": 5 + number % 2 for number in range(6)} | {"two": 2, "three": 3, "x": 1, "y": 1, "z": 1}


@pytest.fixture(scope="session")
def people() -> dict[str, int]:
    return PEOPLE


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per identity of aligned 112 px crops. Not to be changed."""
    import cv2

    from lrface.faces.images import encode_image

    root = tmp_path_factory.mktemp("photos") / "crops"
    rng = np.random.default_rng(0)
    for name, count in PEOPLE.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            image = cv2.resize(
                rng.integers(0, 256, (7, 7, 3), dtype=np.uint8), (112, 112), interpolation=cv2.INTER_CUBIC
            )
            (root / name / f"{number}.jpg").write_bytes(encode_image(image))
    return root


@pytest.fixture(scope="session")
def store(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of ``photos``. Not to be changed."""
    from lrface.data.crop import Settings
    from lrface.data.prepare import prepare

    out = tmp_path_factory.mktemp("stores") / "made"
    prepare(photos, out, Settings(detector="none"), progress=False)
    return out
