"""IResNet, the usual high-resolution teacher in face recognition.

Parameters and buffers have the names and shapes of insightface ``recognition/arcface_torch/backbones/iresnet.py``, so that its
state dicts can be loaded unchanged. Each of the four stages halves the image. A fully connected head reads the last map by
position.

At 112 px, 512-d, width 64 (millions of parameters, billions of multiply-accumulates for one image):

| name | parameters | MACs |
| --- | --- | --- |
| iresnet18 | 24.03 M | 2.61 G |
| iresnet34 | 34.14 M | 4.46 G |
| iresnet50 | 43.59 M | 6.31 G |
| iresnet100 | 65.16 M | 12.09 G |
"""

import torch
from torch import Tensor, nn

from lrface.models.checks import check_count, check_dropout, check_input

DEPTHS: dict[str, tuple[int, int, int, int]] = {
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
}
REDUCTION = 16  # four stages of stride 2


class IBasicBlock(nn.Module):
    """Residual block of two 3x3 convolutions, with a batch norm before each and one after. The second one has the stride."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != channels:
            shortcut = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(y)) + shortcut


class IResNet(nn.Module):
    """IResNet of given depth.

    Args:
        depths: residual blocks in each of the four stages.
        embedding_dim: length of the embedding.
        dropout: probability of dropping an input of the fully connected layer while training.
        input_size: side of the square input in pixels, at least 16; 112 gives the 7x7 map of the published weights.
        width: channels of the first stage; each further stage doubles them. The published network has 64.

    Shapes:
        float32 ``[B, 3, input_size, input_size]`` -> ``[B, embedding_dim]``, not normalised.

    Raises:
        LrfaceError: an argument is out of range, or ``forward`` gets another image size.
    """

    def __init__(
        self,
        depths: tuple[int, int, int, int],
        *,
        embedding_dim: int = 512,
        dropout: float = 0.0,
        input_size: int = 112,
        width: int = 64,
    ) -> None:
        super().__init__()
        check_count("embedding_dim", embedding_dim)
        check_count("input_size", input_size, REDUCTION)
        check_count("width", width)
        check_dropout(dropout)
        self.embedding_dim = embedding_dim
        self.input_size = input_size
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.layer1 = _stage(width, width, depths[0])
        self.layer2 = _stage(width, 2 * width, depths[1])
        self.layer3 = _stage(2 * width, 4 * width, depths[2])
        self.layer4 = _stage(4 * width, 8 * width, depths[3])
        self.bn2 = nn.BatchNorm2d(8 * width)
        self.dropout = nn.Dropout(dropout)
        side = -(-input_size // REDUCTION)
        self.fc = nn.Linear(8 * width * side * side, embedding_dim)
        self.features = nn.BatchNorm1d(embedding_dim)
        # The scale of the norm stays 1, so that every dimension of the embedding has the same variance.
        self.features.weight.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # As in arcface_torch. Under batch norm the scale of a kernel determines its effective learning rate.
                nn.init.normal_(module.weight, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.input_size)
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.dropout(torch.flatten(self.bn2(x), 1))
        return self.features(self.fc(x))


def _stage(in_channels: int, channels: int, depth: int) -> nn.Sequential:
    first = IBasicBlock(in_channels, channels, stride=2)
    return nn.Sequential(first, *(IBasicBlock(channels, channels, stride=1) for _ in range(depth - 1)))
