import pytest
import torch

from lrface.losses.connectors import MapRegressor, target


@pytest.mark.parametrize(("side", "wanted"), [(8, 8), (8, 4), (4, 8), (7, 5), (4, 16), (3, 8)])
def test_any_sides(side, wanted):
    """What is given has the teacher's side, or the teacher's map is brought to the student's."""
    torch.manual_seed(0)
    found = MapRegressor((3, side, side), (5, wanted, wanted))(torch.randn(2, 3, side, side))
    teacher = torch.randn(2, 5, wanted, wanted)
    assert found.shape[1] == 5
    assert target(teacher, found).shape == found.shape
    assert found.shape[2] == (wanted if side >= wanted or 2 * side == wanted else side)
    assert (found >= 0).all()
    if found.shape[2] == wanted:
        assert target(teacher, found) is teacher
