"""Everything that a training run is told; with the data it determines the bundle."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from service.bundle.manifest import PictureSpec, TitleSpec


class PictureArchitecture(StrEnum):
    """Picture networks that can be a backbone."""

    EFFICIENTNET_LITE0 = "efficientnet_lite0"
    RESNET18 = "resnet18"
    MOBILENET_V2 = "mobilenet_v2"


class Loss(StrEnum):
    """What a learner is trained by (docs/decisions/0005)."""

    ARCFACE = "arcface"
    COSINE = "cosine"
    TRIPLET = "triplet"
    SUPCON = "supcon"


@dataclass(frozen=True, slots=True)
class Recipe:
    """
    Options of `kembar-train train`.

    Learners are trained by AdamW, `learning_rate` being the peak of one cycle; an epoch has at least 60 steps. The
    paper's values are margin {0, .5, .7}, num_neg {1, 5, 10}, batch 128, 10 epochs; docs/decisions/0002, 0005 and 0011
    say why the defaults differ.
    """

    picture_backbone: Annotated[PictureArchitecture, Field(description="Picture network to start from.")] = (
        PictureArchitecture.EFFICIENTNET_LITE0
    )
    picture_weights: Annotated[str, Field(description="packaged, torchvision, none, or a .safetensors file.")] = (
        "packaged"
    )
    title_backbone: Annotated[str, Field(description="minilm, or a Hugging Face encoder's name or folder.")] = "minilm"
    image_size: Annotated[
        int, Field(ge=32, le=512, multiple_of=32, description="Height and width, pixels, a multiple of 32.")
    ] = 288
    decode_side: Annotated[
        int, Field(ge=32, le=4096, description="Shorter side down to which pictures may be decoded, pixels.")
    ] = 512
    max_tokens: Annotated[int, Field(ge=8, le=512, description="Longest title, tokens.")] = 64
    dimension: Annotated[int, Field(ge=8, le=2048, description="Length of a view's vector.")] = 256
    loss: Annotated[Loss, Field(description="What the learners are trained by; cosine is the paper's.")] = Loss.ARCFACE
    margin: Annotated[float, Field(ge=-1, le=1, description="Of the loss cosine.")] = 0.0
    num_neg: Annotated[int, Field(ge=1, description="Negative pairs for each positive one, for the loss cosine.")] = 10
    epochs: Annotated[int, Field(ge=0, description="Of the learners, on cached features.")] = 10
    learning_rate: Annotated[float, Field(gt=0, description="Of the learners, at its peak.")] = 0.003
    batch_size: Annotated[int, Field(ge=2, description="Pairs or postings a step.")] = 128
    finetune_epochs: Annotated[int, Field(ge=0, description="Through the picture network, its first stages apart.")] = 0
    title_finetune_epochs: Annotated[int, Field(ge=0, description="Through every layer of the title network.")] = 0
    fold: Annotated[int, Field(ge=0, le=4, description="Which fifth of the catalogue is held out as test part.")] = 0
    seed: Annotated[int, Field(ge=0, description="One seed makes one result on one machine.")] = 0

    def picture_spec(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> PictureSpec:
        """The preprocessing that the bundle will carry."""
        return PictureSpec(
            height=self.image_size, width=self.image_size, decode_side=self.decode_side, crop="none", mean=mean, std=std
        )

    def title_spec(self) -> TitleSpec:
        """The preprocessing that the bundle will carry."""
        return TitleSpec(normalisation="kembar-1", max_tokens=self.max_tokens)

    def describe(self) -> str:
        """JSON for the bundle's provenance; of files and folders their names alone."""
        names = {field: Path(getattr(self, field)).name for field in ("picture_weights", "title_backbone")}
        return json.dumps({**dataclasses.asdict(self), **names}, sort_keys=True)

    @staticmethod
    def read(described: str) -> "Recipe":
        """The inverse of `describe`, except for where files lie."""
        return RECIPE.validate_json(described)

    def key(self, *data: str) -> str:
        """16 hex digits of recipe and data: the name of a run's checkpoints."""
        text = json.dumps([dataclasses.asdict(self), *data], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


RECIPE = TypeAdapter(Recipe)
