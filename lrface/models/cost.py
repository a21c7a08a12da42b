"""What a network costs."""

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class Cost(NamedTuple):
    """Size of a network, and its work for one image."""

    parameters: int
    macs: int


def describe(model: nn.Module, input_size: int) -> Cost:
    """Count parameters, and multiply-accumulates for one ``[3, input_size, input_size]`` image.

    Convolutions and matrix products count; norms, activations and interpolation do not, as in most papers. The model
    keeps its mode and its weights.
    """
    parameter = next(model.parameters())
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, 3, input_size, input_size, device=parameter.device, dtype=parameter.dtype))
    finally:
        model.train(training)
    # PyTorch counts a multiply-accumulate as two operations.
    return Cost(sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)
