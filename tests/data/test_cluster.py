"""A real Ray of two workers on this machine: what it makes is what one process makes, though a worker is killed."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrface.data import cluster, journal
from lrface.data import prepare as module
from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.prepare_cluster import prepare_on_ray
from lrface.errors import LrfaceError
from lrface.files import read_json
from lrface.recognition.embed_cluster import embed_on_ray
from lrface.recognition.embed_files import embed_files
from lrface.recognition.encoder import FaceEncoder

ray = pytest.importorskip("ray", reason="Ray is not installed: the extra `ray`")

CROPS = Settings(detector="none")


@pytest.fixture(scope="module")
def two_workers():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(autouse=True)
def connected(two_workers, monkeypatch):
    """The tests' own connection stays up."""
    from contextlib import nullcontext

    from lrface.data import prepare_cluster
    from lrface.recognition import embed_cluster

    for user in (prepare_cluster, embed_cluster):
        monkeypatch.setattr(user, "connected", lambda address: nullcontext())


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_store_by_ray_is_that_of_one_machine_though_a_worker_is_killed(face_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(face_folder.parent)
    face_folder = Path(face_folder.name)  # as somebody types it; the manifest names it so
    for shard in range(3):
        prepare(face_folder, tmp_path / "one", CROPS, shard=shard, shards=3, progress=False)
    killed = tmp_path / "killed"
    monkeypatch.setattr(cluster, "TICK", 0.1)
    monkeypatch.setattr("lrface.data.prepare_cluster._shard", dying(killed))
    summaries = prepare_on_ray(face_folder, tmp_path / "many", CROPS, shards=3, progress=False)
    assert killed.exists()
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert sum(sum(summary.counts.values()) for summary in summaries) == 10
    assert read_json(summaries[2].folder / "shard.json")["fingerprint"] == summaries[2].fingerprint


def dying(killed):
    """The work of a shard, whose process is killed once, after the first images are certain."""

    def work(here, source, out, settings, landmarks, shard, shards, device):
        os.chdir(here)
        if shard == 1 and not killed.exists():
            module.CHUNK, journal.COMMIT_SECONDS = 1, 0
            append = journal.ShardWriter.append

            def once(self, crops):
                append(self, crops)
                killed.write_text(str(self.rows))
                os.kill(os.getpid(), signal.SIGKILL)

            journal.ShardWriter.append = once
        return prepare(source, out, settings, landmarks, shard, shards, 1, device, progress=False)

    return work


def dying_embedder(killed):
    """The work of a part, whose process is killed once, when all is embedded and nothing is written."""

    def work(*job):
        from lrface.recognition import embed_cluster

        if not killed.exists():

            def die(path):
                killed.write_text(str(path))
                os.kill(os.getpid(), signal.SIGKILL)

            embed_cluster.atomic_write = die
        embed_cluster._embed(*job)

    return work


@pytest.mark.slow
def test_embeddings_by_ray_are_those_of_one_machine_though_a_worker_is_killed(face_folder, tmp_path, monkeypatch):
    killed = tmp_path / "killed"
    monkeypatch.setattr("lrface.recognition.embed_cluster.CHUNK", 4)
    monkeypatch.setattr("lrface.recognition.embed_cluster._embed", dying_embedder(killed))
    options = ("lrface-small-16px", "none", "largest", "cpu", "auto", 1, None, False, ())
    report = embed_on_ray(options, [face_folder], tmp_path / "many.npz", progress=False)
    expected = embed_files(FaceEncoder.load(*options), [face_folder], tmp_path / "one.npz", progress=False)
    assert report == replace(expected, faces=())  # those stay with the workers
    with np.load(tmp_path / "many.npz") as many, np.load(tmp_path / "one.npz") as one:
        assert many["paths"].tolist() == one["paths"].tolist()
        np.testing.assert_allclose(many["embeddings"], one["embeddings"], atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "many.npz", "one.npz"]


@pytest.mark.slow
def test_a_machine_that_does_not_see_the_source_is_named(tmp_path):
    with pytest.raises(LrfaceError, match=r"does not see .*nowhere: --ray needs folders"):
        cluster.check_shared(tmp_path, [tmp_path / "nowhere"])
    assert list(Path(tmp_path).iterdir()) == []


@pytest.mark.slow
def test_an_error_of_a_task_is_one_line(tmp_path):
    with pytest.raises(LrfaceError, match=r"^there is nothing to do$"):
        cluster.run_tasks(refusing(), [()])


def refusing():
    """A function that Ray sends by its content: workers do not have this file."""

    def work():
        raise LrfaceError("there is nothing to do")

    return work
