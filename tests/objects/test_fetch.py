from urllib.error import URLError

import pytest
import torchvision

from lrface.data.sets.catalog import dataset, find
from lrface.errors import LrfaceError
from lrface.objects.data import SETS
from lrface.objects.data.fetch import FETCHED, fetch_objects


def test_every_set_with_files_is_in_the_catalogue(tmp_path):
    for name in SETS[1:]:
        assert dataset(name).name == name
    (tmp_path / "svhn").mkdir()
    for split in ("train", "test"):
        (tmp_path / "svhn" / f"{split}_32x32.mat").touch()
    states = {found.dataset.name: found.state for found in find(tmp_path)}
    assert states["svhn"] == "found"
    assert states["cifar100"] == "missing"


@pytest.mark.parametrize("name", FETCHED)
def test_without_a_network(name, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise URLError("no network")

    for kind in ("CIFAR100", "SVHN", "STL10"):
        monkeypatch.setattr(torchvision.datasets, kind, refuse)
    with pytest.raises(LrfaceError, match=f"cannot download {name} .*no network.* `lrface data where {name}`"):
        fetch_objects(name, tmp_path / name)
