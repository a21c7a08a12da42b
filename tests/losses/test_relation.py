import losses_oracle as oracle
import pytest
import torch

from lrface.errors import LrfaceError
from lrface.losses.relation import FeatureRelation


def test_equals_the_equation_for_all_pairs():
    torch.manual_seed(0)
    module = FeatureRelation(5, 3, 4).double()
    anchors, others = torch.randn(4, 5).double(), torch.randn(6, 3).double()
    relations = module(anchors, others)
    assert relations.shape == (4, 6, 4)
    for i, anchor in enumerate(anchors):
        for j, other in enumerate(others):
            torch.testing.assert_close(relations[i, j], oracle.relation(module, anchor, other))


def test_composed_is_the_head_after_the_relation():
    torch.manual_seed(0)
    module, head = FeatureRelation(5, 3, 4).double(), torch.nn.Linear(4, 2).double()
    anchors, others = torch.randn(4, 5).double(), torch.randn(6, 3).double()
    inner = (module.anchor(anchors)[:, None] - module.other(others)).relu()
    weight, bias = module.composed(head)
    torch.testing.assert_close(inner @ weight.T + bias, head(module(anchors, others)))


@pytest.mark.parametrize("sizes", [(0, 3, 4), (5, -1, 4), (5, 3, 0), (5, 3, 2.5)])
def test_bad_arguments(sizes):
    with pytest.raises(LrfaceError, match="_dim"):
        FeatureRelation(*sizes)
