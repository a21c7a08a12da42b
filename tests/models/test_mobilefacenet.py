"""The paper's table, counted by hand."""

import pytest
import torch

from lrface.errors import LrfaceError
from lrface.models import create, describe


def counted(embedding: int, side: int) -> int:
    """Parameters of the rows of table 1: kernels, two numbers of a norm, one of a PReLU for each channel."""

    def conv(inputs: int, outputs: int, kernel: int, prelu: bool = True) -> int:
        return inputs * outputs * kernel * kernel + (3 if prelu else 2) * outputs

    total = conv(3, 64, 3) + conv(1, 64, 3)
    before = 64
    for t, c, n in ((2, 64, 5), (4, 128, 1), (2, 128, 6), (4, 128, 1), (2, 128, 2)):
        for _ in range(n):
            inner = t * before
            total += conv(before, inner, 1) + conv(1, inner, 3) + conv(inner, c, 1, prelu=False)
            before = c
    return total + conv(128, 512, 1) + conv(1, 512, side, prelu=False) + 512 * embedding + 2 * embedding


@pytest.mark.parametrize("embedding", [128, 512])
def test_size_and_cost_at_112_pixels(embedding):
    cost = describe(create("mobilefacenet", embedding_dim=embedding), 112)
    assert cost.parameters == counted(embedding, 7)
    assert 220e6 < cost.macs < 222e6  # the authors say 221 M


@pytest.mark.parametrize(("size", "side"), [(112, 7), (16, 1), (40, 3), (64, 4)])
def test_the_last_map_follows_the_input(size, side):
    model = create("mobilefacenet", embedding_dim=8, input_size=size).eval()
    assert model.places[0].weight.shape == (512, 1, side, side)
    with torch.no_grad():
        assert model(torch.randn(2, 3, size, size)).shape == (2, 8)


def test_only_blocks_that_keep_their_shape_add_their_input():
    with torch.device("meta"):
        blocks = create("mobilefacenet").blocks
    assert [block.residual for block in blocks] == [False, *[True] * 4, False, *[True] * 6, False, *[True] * 2]


def test_a_block_without_weights_is_the_identity_or_nothing():
    torch.manual_seed(0)
    model = create("mobilefacenet", embedding_dim=8, input_size=16).eval()
    kept, changed = model.blocks[1], model.blocks[0]
    for block in (kept, changed):
        torch.nn.init.zeros_(block.project[0].weight)
    x = torch.randn(2, 64, 4, 4)
    with torch.no_grad():
        assert torch.equal(kept(x), x)
        assert torch.equal(changed(x), torch.zeros(2, 64, 2, 2))


def test_arguments_out_of_range():
    with pytest.raises(LrfaceError, match="input_size must be an integer of at least 16"):
        create("mobilefacenet", input_size=8)
    with pytest.raises(LrfaceError, match=r"takes batches of shape \[B, 3, 32, 32\]"):
        create("mobilefacenet", input_size=32)(torch.zeros(1, 3, 16, 16))
