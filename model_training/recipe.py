"""Everything that a training run is told; with the data it determines the bundle."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from model_training.backbones import PictureArchitecture
from service.bundle.manifest import PictureSpec, TitleSpec


@dataclass(frozen=True, slots=True)
class Recipe:
    """
    Options of `kembar-train train`.

    `learning_rate` falls to a tenth every 7 epochs, momentum is .9 (the paper's SGD schedule). The paper's values are
    margin {0, .5, .7}, num_neg {1, 5, 10}, learning_rate .001, batch 128, 10 epochs; docs/decisions/0002 says why the
    defaults differ. `image_size` is height and width in pixels; `decode_side` the shorter side aimed at by decoding.
    """

    picture_backbone: PictureArchitecture = PictureArchitecture.MOBILENET_V2
    picture_weights: str = "shipped"
    title_backbone: str = "minilm"
    image_size: int = 192
    decode_side: int = 512
    max_tokens: int = 64
    dimension: int = 256
    margin: float = 0.0
    num_neg: int = 10
    epochs: int = 10
    learning_rate: float = 0.1
    batch_size: int = 128
    finetune_epochs: int = 0
    seed: int = 0

    def picture_spec(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> PictureSpec:
        """The preprocessing that the bundle will carry."""
        return PictureSpec(
            height=self.image_size, width=self.image_size, decode_side=self.decode_side, crop="none", mean=mean, std=std
        )

    def title_spec(self) -> TitleSpec:
        """The preprocessing that the bundle will carry."""
        return TitleSpec(normalisation="kembar-1", max_tokens=self.max_tokens)

    def describe(self) -> str:
        """JSON for the bundle's provenance; of a weights file its name alone."""
        return json.dumps(
            {**dataclasses.asdict(self), "picture_weights": Path(self.picture_weights).name}, sort_keys=True
        )

    def key(self, *data: str) -> str:
        """16 hex digits of recipe and data: the name of a run's checkpoints."""
        text = json.dumps([dataclasses.asdict(self), *data], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
