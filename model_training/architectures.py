"""Picture networks cut into stages, so that what they see half way counts beside what they conclude."""

from collections.abc import Sequence

import torch
from torch import nn

from model_training import efficientnet_lite
from model_training.recipe import PictureArchitecture
from model_training.torchvision_cure import torchvision

_PROBE = 64  # pixels; any side does that every stage survives


class Stages(nn.Module):
    """
    Stages run one after the other: (n, 3, height, width) -> (n, sum of `widths`).

    The last ones are watched: each gives its channels, averaged over the picture. Patterns and textures, which early
    stages see, tell products apart that are one thing to a classifier of a thousand things (docs/decisions/0007).

    Args:
        stages: from the picture to the last channels; watched: how many of them, counted from the end.
    """

    def __init__(self, stages: Sequence[nn.Module], watched: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self._watched = watched
        with torch.no_grad():
            self.widths = tuple(seen.shape[1] for seen in self.eval()._watch(torch.zeros(1, 3, _PROBE, _PROBE)))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """What the watched stages see, side by side."""
        return torch.cat(self._watch(pixels), dim=1)

    def watched(self) -> nn.ModuleList:
        """The stages that are."""
        return self.stages[-self._watched :]

    def _watch(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        seen = []
        for number, stage in enumerate(self.stages):
            pixels = stage(pixels)
            if number >= len(self.stages) - self._watched:
                seen.append(pixels.mean((2, 3)))
        return seen


def build_network(architecture: PictureArchitecture, weights: str | None = None) -> tuple[nn.Module, Stages]:
    """
    A network as its weights files name it, and its stages, which share its tensors.

    Args:
        weights: what torchvision shall download; None leaves random ones.

    Raises:
        OSError: no connection.
    """
    if architecture is PictureArchitecture.EFFICIENTNET_LITE0:
        network = efficientnet_lite.build_stages()
        return network, Stages(list(network), watched=6)
    network = torchvision.models.get_model(architecture, weights=weights)
    if architecture is PictureArchitecture.RESNET18:
        stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        return network, Stages([stem, network.layer1, network.layer2, network.layer3, network.layer4], watched=3)
    blocks = network.features
    return network, Stages([blocks[:7], blocks[7:11], blocks[11:14], blocks[14:17], blocks[17], blocks[18]], watched=6)
