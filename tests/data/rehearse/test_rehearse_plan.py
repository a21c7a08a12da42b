"""Who gives how many images."""

from hypothesis import given
from hypothesis import strategies as st

from lrface.data.rehearse.plan import allot, shortfall


def test_allot():
    assert allot([5, 1, 9], 100) == [5, 1, 9]
    assert allot([5, 1, 9], 100, most=4) == [4, 1, 4]
    assert allot([5, 1, 9], 8) == [4, 1, 3]
    assert allot([5, 1, 9], 2) == [1, 1, 0]
    assert allot([], 3) == []


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(0, 200), st.one_of(st.none(), st.integers(1, 20)))
def test_allotments_are_even_and_use_what_there_is(sizes, total, most):
    limits = [min(size, most or size) for size in sizes]
    counts = allot(sizes, total, most)
    assert sum(counts) == min(sum(limits), total)
    assert all(0 <= count <= limit for count, limit in zip(counts, limits, strict=True))
    held = [count for count, limit in zip(counts, limits, strict=True) if count < limit]
    assert max(counts, default=0) - min(held, default=max(counts, default=0)) <= 1


def test_shortfall():
    found = {"probe images": 1000, "match images": 4443}
    assert shortfall(found, {"probe images": 3728, "match images": 4443}) == [
        "1,000 probe images, the published set has 3,728"
    ]
