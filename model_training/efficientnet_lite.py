"""EfficientNet-Lite0, which torchvision lacks: an EfficientNet without squeeze and swish, made for plain processors."""

import torch
from torch import nn
from torch.nn import functional as F

_EPSILON = 1e-3
_STEM, _HEAD = 32, 1280
_STAGES = (  # expansion, channels, blocks, kernel, stride
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)


def build_stages() -> nn.Sequential:
    """
    The network without its classifier, random weights: stem, seven stages of inverted residuals, head.

    Layout of the TensorFlow release of 2020 (Apache-2.0), whose weights it takes: sides must be multiples of 32, since
    its asymmetric padding is right for even sides alone.
    """
    stages: list[nn.Module] = [_convolution(3, _STEM, kernel=3, stride=2)]
    channels = _STEM
    for expansion, width, blocks, kernel, stride in _STAGES:
        row = [
            _InvertedResidual(channels if block == 0 else width, width, expansion, kernel, stride if block == 0 else 1)
            for block in range(blocks)
        ]
        stages.append(nn.Sequential(*row))
        channels = width
    return nn.Sequential(*stages, _convolution(channels, _HEAD, kernel=1))


def load_released(stages: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Take the weights of the release, whose tensors come in the same order under other names."""
    theirs = [tensor for name, tensor in state.items() if not name.startswith("_fc.")]
    stages.load_state_dict(dict(zip(stages.state_dict(), theirs, strict=True)))


class _SamePadding(nn.Module):
    """TensorFlow's "SAME" before a stride of two: one row and column more on the far side."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self._near, self._far = (kernel - 2) // 2, (kernel - 1) // 2

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return F.pad(pixels, (self._near, self._far, self._near, self._far))


def _convolution(
    channels: int, width: int, *, kernel: int, stride: int = 1, groups: int = 1, active: bool = True
) -> nn.Sequential:
    padding = kernel // 2 if stride == 1 else 0
    layers: list[nn.Module] = [] if stride == 1 else [_SamePadding(kernel)]
    layers += [
        nn.Conv2d(channels, width, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(width, eps=_EPSILON),
    ]
    return nn.Sequential(*layers, nn.ReLU6()) if active else nn.Sequential(*layers)


class _InvertedResidual(nn.Module):
    def __init__(self, channels: int, width: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = channels * expansion
        grow = [] if expansion == 1 else [_convolution(channels, wide, kernel=1)]
        deep = _convolution(wide, wide, kernel=kernel, stride=stride, groups=wide)
        self._layers = nn.Sequential(*grow, deep, _convolution(wide, width, kernel=1, active=False))
        self._is_residual = stride == 1 and channels == width

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._layers(pixels)
        return pixels + found if self._is_residual else found
