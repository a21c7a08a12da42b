"""The head whose classes are split over two processes has the value and the gradients of the unsplit one."""

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import distributed

from lrface.errors import LrfaceError
from lrface.losses import ArcFace, CosFace
from lrface.losses.split_margin import SplitMargin, share

CLASSES, DIM, EACH = 7, 5, 4


def batch():
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn(2 * EACH, DIM, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 6, 3, -1, 2, 4, -1, 3])
    return embeddings, labels


def head(kind):
    torch.manual_seed(1)
    made = kind(CLASSES, DIM, scale=16.0)
    return made.double()


def work(rank, file):
    """One of the two processes: compares its part with the unsplit head on the whole batch."""
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    try:
        for kind in (ArcFace, CosFace):
            embeddings, labels = batch()
            whole, known = head(kind), labels >= 0
            embeddings.requires_grad_()
            expected = whole(embeddings[known], labels[known])
            expected.backward()

            split = SplitMargin(head(kind))
            torch.testing.assert_close(split.whole(), whole.weight.detach(), rtol=0, atol=0)
            own = batch()[0].chunk(2)[rank].clone().requires_grad_()
            value = split(own, labels.chunk(2)[rank])
            value.backward()
            torch.testing.assert_close(value, expected)
            torch.testing.assert_close(split.weight.grad, whole.weight.grad[split.first : split.stop])
            torch.testing.assert_close(own.grad / 2, embeddings.grad.chunk(2)[rank])  # DDP divides by 2

            nobody = split(own, torch.full((EACH,), -1))
            assert float(nobody) == 0
            with pytest.raises(LrfaceError, match="labels run to 7: the classifier has classes 0 to 6"):
                split(own, torch.full((EACH,), 7))
    finally:
        distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(tmp_path):
    multiprocessing.spawn(work, (tmp_path / "meet",), nprocs=2)


def test_the_shares_are_all_classes_and_even():
    for classes, world in ((7, 2), (8, 8), (1000, 3)):
        parts = [share(classes, rank, world) for rank in range(world)]
        assert [number for first, stop in parts for number in range(first, stop)] == list(range(classes))
        sizes = [stop - first for first, stop in parts]
        assert max(sizes) - min(sizes) <= 1
    with pytest.raises(LrfaceError, match="3 classes cannot be split over 4 processes"):
        share(3, 0, 4)
