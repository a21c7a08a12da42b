import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrface.errors import LrfaceError
from lrface.losses.queue import SampleQueue


def rows(numbers):
    """Samples that carry their number in all three parts."""
    numbers = torch.tensor(numbers)
    return numbers[:, None].float().repeat(1, 2), 10 * numbers, numbers


def held(queue, count=None):
    """The numbers of the samples that the queue returns, newest first; all parts must agree."""
    newest = queue.newest(queue.capacity if count is None else count)
    numbers = newest.index[newest.filled]
    assert torch.equal(newest.labels[newest.filled], 10 * numbers)
    assert torch.equal(newest.embeddings[newest.filled], numbers[:, None].float().repeat(1, 2))
    return numbers.tolist()


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(1, 9),
    batches=st.lists(st.integers(1, 12), max_size=6),
    count=st.integers(0, 12),
)
def test_keeps_the_newest_in_order(capacity, batches, count):
    queue, pushed = SampleQueue(capacity, 2), []
    for size in batches:
        numbers = list(range(len(pushed), len(pushed) + size))
        queue.push(*rows(numbers))
        pushed += numbers
        newest_first = pushed[::-1]
        assert held(queue) == newest_first[:capacity]
        assert held(queue, count) == newest_first[: min(count, capacity)]
        assert queue.filled == min(len(pushed), capacity)


def test_wraps_around():
    queue = SampleQueue(3, 2)
    queue.push(*rows([1, 2]))
    assert held(queue) == [2, 1]
    queue.push(*rows([3, 4]))
    assert held(queue) == [4, 3, 2]
    queue.push(*rows([5, 6, 7, 8]))
    assert held(queue) == [8, 7, 6]


def test_returned_rows_are_copies_without_gradient():
    queue = SampleQueue(2, 2)
    embeddings = torch.ones(2, 2, requires_grad=True)
    queue.push(embeddings, torch.tensor([1, 2]), torch.tensor([1, 2]))
    before = queue.newest(2)
    queue.push(*rows([5, 6]))
    assert torch.equal(before.embeddings, torch.ones(2, 2))
    assert not queue.embeddings.requires_grad


def test_half_precision_input():
    queue = SampleQueue(2, 2)
    embeddings, labels, index = rows([1, 2])
    queue.push(embeddings.bfloat16(), labels.int(), index.int())
    assert held(queue) == [2, 1]
    assert queue.embeddings.dtype == torch.float32


def test_state_dict_carries_everything():
    queue, copy = SampleQueue(3, 2), SampleQueue(3, 2)
    queue.push(*rows([1, 2, 3, 4]))
    copy.load_state_dict(queue.state_dict())
    for each in (queue, copy):
        each.push(*rows([5]))
    assert held(copy) == held(queue) == [5, 4, 3]


@pytest.mark.parametrize(("capacity", "dim", "name"), [(0, 2, "capacity"), (2, 0, "dim"), (1.5, 2, "capacity")])
def test_bad_arguments(capacity, dim, name):
    with pytest.raises(LrfaceError, match=name):
        SampleQueue(capacity, dim)


def test_bad_batches():
    queue = SampleQueue(3, 2)
    embeddings, labels, index = rows([1, 2])
    for batch, name in (
        ((embeddings[:, :1], labels, index), "embeddings"),
        ((embeddings, labels[:1], index), "labels"),
        ((embeddings, labels, index.float()), "index"),
    ):
        with pytest.raises(LrfaceError, match=name):
            queue.push(*batch)
    assert queue.filled == 0
