"""What the frozen backbones see: one feature row per distinct picture and per distinct title, kept on disk."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from model_training.augment import save_badly
from model_training.backbones import PictureBackbone, TitleBackbone
from model_training.catalogue import Catalogue
from model_training.export import export_picture_network
from model_training.networks import PictureNetwork, TitleNetwork
from model_training.pixels import Pixels
from model_training.row_cache import RowCache
from service.bundle.title import TitleTokenizer


@dataclass(frozen=True, slots=True)
class TitleFeatures:
    """`features` (m, d) float32, one a distinct title; `rows` finds a title's row."""

    features: NDArray[np.float32]
    rows: Mapping[str, int]

    def rows_of(self, catalogue: Catalogue) -> NDArray[np.int64]:
        """(n,) the feature row of each posting, -1 where it has no title."""
        return np.array([-1 if title is None else self.rows[title] for title in catalogue.titles])


def compute_picture_features(backbone: PictureBackbone, pixels: Pixels, cache: Path) -> NDArray[np.float32]:
    """
    Run the frozen backbone over every distinct picture, by ONNX Runtime: torch takes two to three times as long.

    Returns:
        (m, features) float32, row for row as `pixels.tensors`.
    """
    return _run_over(
        backbone, pixels, len(pixels.tensors), lambda rows: pixels.tensors[rows], cache, "picture features"
    )


def compute_copy_features(
    backbone: PictureBackbone, pixels: Pixels, rows: NDArray[np.int64], cache: Path
) -> NDArray[np.float32]:
    """
    Run it over a copy of each picture, saved smaller and worse: the learner shall know a product again from either.

    Args:
        rows: (r,) of `pixels.tensors`.

    Returns:
        (r, features) float32.
    """

    def copy(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        # Chunks are always cut alike, so a resumed run copies alike.
        return save_badly(pixels.tensors[rows[numbers]], np.random.default_rng(numbers[0]))

    label = f"features of copies {hashlib.sha256(rows.tobytes()).hexdigest()}"
    return _run_over(backbone, pixels, len(rows), copy, cache, label)


def _run_over(
    backbone: PictureBackbone,
    pixels: Pixels,
    count: int,
    draw: Callable[[NDArray[np.int64]], NDArray[np.uint8]],
    cache: Path,
    label: str,
) -> NDArray[np.float32]:
    """The features of `count` tensors, which `draw` gives by number; `label` tells them from others of `pixels`."""
    key = _key(label, backbone.source, backbone.architecture, pixels.key)
    shape = (sum(backbone.network.widths),)
    store = RowCache(cache / f"features-{key}", rows=count, shape=shape, dtype=np.float32)
    if store.done.all():
        return store.array
    with tempfile.TemporaryDirectory() as folder:
        path, example = Path(folder) / "backbone.onnx", torch.from_numpy(pixels.tensors[:2])
        export_picture_network(PictureNetwork(backbone, nn.Identity()), example, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options)

    def compute(numbers: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        (features,) = session.run(None, {"pixels": draw(numbers)})
        return features, np.ones(len(numbers), dtype=np.bool_)

    store.fill(compute, chunk=32, label=" ".join(label.split()[:3]))
    return store.array


def compute_title_features(
    backbone: TitleBackbone, catalogue: Catalogue, max_tokens: int, cache: Path
) -> TitleFeatures:
    """Run the frozen backbone over every distinct title, tokenised by the tokenizer that serves."""
    titles = sorted({title for title in catalogue.titles if title is not None}, key=lambda title: (len(title), title))
    key = _key("title", backbone.source, str(max_tokens), *titles)
    tokenizer = open_tokenizer(backbone, max_tokens)
    store = RowCache(cache / f"features-{key}", rows=len(titles), shape=(backbone.features,), dtype=np.float32)
    network = TitleNetwork(backbone, nn.Identity())

    def compute(numbers: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        with torch.inference_mode():
            features = network(*pad_tokens([tokenizer.encode(titles[number]) for number in numbers]))
        return features.numpy(), np.ones(len(numbers), dtype=np.bool_)

    store.fill(compute, chunk=64, label="title features")
    return TitleFeatures(features=store.array, rows={title: row for row, title in enumerate(titles)})


def open_tokenizer(backbone: TitleBackbone, max_tokens: int) -> TitleTokenizer:
    """The backbone's tokenizer, as the service will read it from the bundle."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        path.write_text(backbone.tokenizer_json, encoding="utf-8")
        return TitleTokenizer(path, max_tokens)


def pad_tokens(tokens: list[NDArray[np.int64]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of several titles -> (ids, mask), both (n, longest) int64, padded with 0."""
    rows = [torch.from_numpy(ids) for ids in tokens]
    masks = [torch.ones_like(ids) for ids in rows]
    pad = torch.nn.utils.rnn.pad_sequence
    return pad(rows, batch_first=True), pad(masks, batch_first=True)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
