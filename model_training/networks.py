"""The two networks as they ship: backbone and learner in one graph, normalisation inside."""

import torch
from torch import nn

from model_training.backbones import PictureBackbone, TitleBackbone, pool_mean


class PictureNetwork(nn.Module):
    """uint8 (n, height, width, 3) RGB -> float32 (n, dimension), unit rows; with an identity for learner, features."""

    def __init__(self, backbone: PictureBackbone, learner: nn.Module) -> None:
        super().__init__()
        self._backbone = backbone
        self.body = backbone.network
        self.learner = learner

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode a batch."""
        vectors: torch.Tensor = self.learner(self.body(normalise_pixels(pixels, self._backbone)))
        return vectors


class TitleNetwork(nn.Module):
    """int64 ids and mask (n, tokens) -> float32 (n, dimension), unit rows; with an identity for learner, features."""

    def __init__(self, backbone: TitleBackbone, learner: nn.Module) -> None:
        super().__init__()
        self.body = backbone.network
        self.learner = learner

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Encode a batch."""
        hidden = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        vectors: torch.Tensor = self.learner(pool_mean(hidden, attention_mask))
        return vectors


def normalise_pixels(pixels: torch.Tensor, backbone: PictureBackbone) -> torch.Tensor:
    """(n, height, width, 3) uint8 RGB -> (n, 3, height, width) float32 as the backbone's weights expect it."""
    mean, std = (torch.tensor(of) * 255 for of in (backbone.normalisation.mean, backbone.normalisation.std))
    return ((pixels.float() - mean) / std).permute(0, 3, 1, 2)
