"""Backbones: what is loaded, what is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model_training.backbones import (
    PictureArchitecture,
    load_picture_backbone,
    load_title_backbone,
    pool_mean,
    save_picture_backbone,
)
from model_training.errors import UnusableBackbone
from model_training.networks import normalise_pixels

LITE = PictureArchitecture.EFFICIENTNET_LITE0


@pytest.mark.parametrize(
    ("architecture", "widths"),
    [
        ("efficientnet_lite0", (40, 80, 112, 192, 320, 1280)),
        ("mobilenet_v2", (32, 64, 96, 160, 320, 1280)),
        ("resnet18", (128, 256, 512)),
    ],
)
def test_a_backbone_gives_what_its_stages_see(architecture: str, widths: tuple[int, ...]) -> None:
    """Without weights it is one and the same random network each time, and gives one row of features a picture."""
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    rows = []
    for _ in range(2):
        backbone = load_picture_backbone(PictureArchitecture(architecture), "none")
        assert backbone.network.widths == widths
        rows.append(backbone.network(normalise_pixels(pixels, backbone)))
    assert rows[0].shape == (2, sum(widths))
    assert torch.equal(*rows)


def test_a_saved_backbone_comes_back(tmp_path: Path) -> None:
    """Written as float16 and read again, the packaged backbone has its weights, rounded, and its normalisation."""
    packaged = load_picture_backbone(LITE, "packaged")
    save_picture_backbone(packaged, tmp_path / "copy.safetensors", packaged.seen, "a test")
    again = load_picture_backbone(LITE, str(tmp_path / "copy.safetensors"))
    assert again.normalisation == packaged.normalisation
    for name, tensor in packaged.network.state_dict().items():
        assert torch.equal(tensor.half().to(tensor.dtype), again.network.state_dict()[name]), name


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """A missing file, another architecture and a tensor of another shape are each told by name."""
    with pytest.raises(UnusableBackbone, match="nowhere"):
        load_picture_backbone(LITE, str(tmp_path / "nowhere.safetensors"))
    packaged = load_picture_backbone(LITE, "packaged")
    save_picture_backbone(packaged, tmp_path / "good.safetensors", packaged.seen, "a test")
    with pytest.raises(UnusableBackbone, match="resnet18"):
        load_picture_backbone(PictureArchitecture.RESNET18, str(tmp_path / "good.safetensors"))
    state = load_file(tmp_path / "good.safetensors")
    state["0.1.weight"] = state["0.1.weight"][:, :2].contiguous()
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(UnusableBackbone, match=r"0\.1\.weight"):
        load_picture_backbone(LITE, str(tmp_path / "odd.safetensors"))


def test_a_title_backbone_that_cannot_be_had_is_refused(tmp_path: Path) -> None:
    """A folder without an encoder is refused with what to give instead."""
    with pytest.raises(UnusableBackbone, match="'minilm'"):
        load_title_backbone(str(tmp_path))


def test_pooling_looks_at_real_tokens_alone() -> None:
    """The mean over a padded row is the mean over the row without its padding."""
    hidden = torch.randn(1, 5, 3)
    mask = torch.tensor([[1, 1, 1, 0, 0]])
    assert torch.allclose(pool_mean(hidden, mask), hidden[:, :3].mean(1))
