"""The cost of a network: parameters and multiply-accumulates."""

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class Cost(NamedTuple):
    """Number of parameters, and of multiply-accumulates for one image."""

    parameters: int
    macs: int


def describe(model: nn.Module, input_size: int) -> Cost:
    """Count parameters, and multiply-accumulates for one ``[3, input_size, input_size]`` image.

    Convolutions and matrix products count. Norms, activations and interpolation do not, as in most papers. The model's mode
    and weights do not change.
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
