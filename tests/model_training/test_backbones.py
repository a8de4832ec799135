"""Backbones: what is loaded, what is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model_training.backbones import (
    SHIPPED_PICTURE_WEIGHTS,
    PictureArchitecture,
    load_picture_backbone,
    load_title_backbone,
    pool_mean,
    save_picture_backbone,
)
from model_training.errors import UnusableBackbone
from model_training.networks import normalise_pixels


@pytest.mark.parametrize(("architecture", "features"), [("resnet18", 512), ("mobilenet_v2", 1280)])
def test_a_backbone_ends_with_its_pooled_features(architecture: str, features: int) -> None:
    """Without weights it is one and the same random network each time, and gives one row of features a picture."""
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    rows = []
    for _ in range(2):
        backbone = load_picture_backbone(PictureArchitecture(architecture), "none")
        assert backbone.features == features
        rows.append(backbone.network(normalise_pixels(pixels, backbone)))
    assert rows[0].shape == (2, features)
    assert torch.equal(*rows)


def test_a_saved_backbone_comes_back(tmp_path: Path) -> None:
    """Written as float16 and read again, the shipped backbone has the same weights and the same normalisation."""
    shipped = load_picture_backbone(PictureArchitecture.MOBILENET_V2, "shipped")
    save_picture_backbone(shipped, tmp_path / "copy.safetensors", shipped.seen, "a test")
    again = load_picture_backbone(PictureArchitecture.MOBILENET_V2, str(tmp_path / "copy.safetensors"))
    assert (again.mean, again.std) == (shipped.mean, shipped.std) == ((0.5,) * 3, (0.5,) * 3)
    for name, tensor in shipped.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name]), name


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """A missing file, another architecture and a tensor of another shape are each told by name."""
    with pytest.raises(UnusableBackbone, match="nowhere"):
        load_picture_backbone(PictureArchitecture.MOBILENET_V2, str(tmp_path / "nowhere.safetensors"))
    with pytest.raises(UnusableBackbone, match="resnet18"):
        load_picture_backbone(PictureArchitecture.RESNET18, "shipped")
    state = load_file(SHIPPED_PICTURE_WEIGHTS)
    state["features.0.0.weight"] = state["features.0.0.weight"][:, :2].contiguous()
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(UnusableBackbone, match=r"features\.0\.0\.weight"):
        load_picture_backbone(PictureArchitecture.MOBILENET_V2, str(tmp_path / "odd.safetensors"))


def test_a_title_backbone_that_cannot_be_had_is_refused(tmp_path: Path) -> None:
    """A folder without an encoder is refused with what to give instead."""
    with pytest.raises(UnusableBackbone, match="'minilm'"):
        load_title_backbone(str(tmp_path))


def test_pooling_looks_at_real_tokens_alone() -> None:
    """The mean over a padded row is the mean over the row without its padding."""
    hidden = torch.randn(1, 5, 3)
    mask = torch.tensor([[1, 1, 1, 0, 0]])
    assert torch.allclose(pool_mean(hidden, mask), hidden[:, :3].mean(1))
