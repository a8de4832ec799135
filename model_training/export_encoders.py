"""The trained networks become the encoders that ship: exported, proved, and in eight bits where that costs little."""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_training.backbones import TitleBackbone
from model_training.decide import THRESHOLDS
from model_training.export import (
    LEAST_ROUNDED,
    check_parity,
    export_picture_network,
    export_title_network,
    quantise_titles,
    store_in_half,
)
from model_training.features import open_tokenizer, pad_tokens
from model_training.material import Material
from model_training.metrics import f1_mean
from model_training.networks import PictureNetwork, TitleNetwork
from model_training.ranking import rank, sweep
from model_training.recipe import Recipe
from service.bundle import lexical
from service.bundle.bundle import TOKENIZER
from service.bundle.encoder import ImageEncoder, TitleEncoder
from service.bundle.lexical import LexicalEncoder
from service.bundle.manifest import EncoderSpec

logger = logging.getLogger(__name__)

LARGEST_LOSS = 0.005
"""f1_mean of the title view that eight bits may cost; beyond it fp32 ships."""
_EXAMPLES = 16
_THREADS = 2


@dataclass(frozen=True, slots=True)
class ShippedEncoders:
    """The encoders as the bundle will hold them, and the figures behind the choice of their precision."""

    image: ImageEncoder
    title: TitleEncoder
    lexical: LexicalEncoder
    figures: Mapping[str, float]


def export_encoders(
    stage: Path,
    pictures: PictureNetwork,
    titles: TitleNetwork,
    backbone: TitleBackbone,
    material: Material,
    recipe: Recipe,
) -> ShippedEncoders:
    """
    Write both ONNX files, the tokenizer and the rarity of n-grams among the training titles into `stage`.

    Raises:
        ParityError: a graph does not give what torch gives.
    """
    image, image_parity = _export_image(stage, pictures, material)
    title, figures = export_titles(stage, titles, backbone, material, recipe)
    corpus = {text for row in material.split.train if (text := material.catalogue.titles[row]) is not None}
    np.save(stage / lexical.SPEC.file, lexical.learn_rarity(sorted(corpus)), allow_pickle=False)
    return ShippedEncoders(
        image=image,
        title=title,
        lexical=lexical.read_lexical(stage / lexical.SPEC.file),
        figures={"image_parity": round(image_parity, 7), **figures},
    )


def export_titles(
    stage: Path, titles: TitleNetwork, backbone: TitleBackbone, material: Material, recipe: Recipe
) -> tuple[TitleEncoder, Mapping[str, float]]:
    """
    Write the title graph, in eight bits where that costs little, and its tokenizer into `stage`.

    Returns:
        The encoder, and the figures behind the choice of its precision.

    Raises:
        ParityError: the graph does not give what torch gives.
    """
    (stage / TOKENIZER).write_text(backbone.tokenizer_json, encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        exact, parity = _export_title(Path(folder) / "fp32.onnx", titles, backbone, material, recipe)
        small = _quantise(Path(folder), exact, backbone, recipe)
        fp32_f1, int8_f1 = (_title_f1(encoder, material) for encoder in (exact, small))
        logger.info("title view on validation: f1_mean %.4f in fp32, %.4f in int8", fp32_f1, int8_f1)
        chosen, source = (small, "int8.onnx") if fp32_f1 - int8_f1 <= LARGEST_LOSS else (exact, "fp32.onnx")
        path = stage / "title_encoder.onnx"
        path.write_bytes((Path(folder) / source).read_bytes())
    encoder = TitleEncoder(path, chosen.spec, open_tokenizer(backbone, recipe.max_tokens), threads=_THREADS)
    return encoder, {
        "title_parity": round(parity, 7),
        "title_f1_mean_fp32": round(fp32_f1, 4),
        "title_f1_mean_int8": round(int8_f1, 4),
    }


def _export_image(stage: Path, network: PictureNetwork, material: Material) -> tuple[ImageEncoder, float]:
    path = stage / "image_encoder.onnx"
    examples = torch.from_numpy(np.array(material.pixels.tensors[:_EXAMPLES]))
    export_picture_network(network, examples[:2], path)
    with torch.inference_mode():
        expected = network(examples)
    spec = EncoderSpec(
        file=path.name, dimension=expected.shape[1], rows_independent=True, precision="fp32, weights kept in fp16"
    )
    parity = check_parity(expected, ImageEncoder(path, spec, threads=_THREADS).encode(examples.numpy()), path)
    store_in_half(path)
    encoder = ImageEncoder(path, spec, threads=_THREADS)
    check_parity(expected, encoder.encode(examples.numpy()), path, LEAST_ROUNDED)
    return encoder, parity


def _export_title(
    path: Path, network: TitleNetwork, backbone: TitleBackbone, material: Material, recipe: Recipe
) -> tuple[TitleEncoder, float]:
    tokenizer = open_tokenizer(backbone, recipe.max_tokens)
    examples = [title for title in material.catalogue.titles if title is not None][:_EXAMPLES]
    ids, mask = pad_tokens([tokenizer.encode(title) for title in examples])
    export_title_network(network, (ids[:2], mask[:2]), path)
    with torch.inference_mode():
        expected = network(ids, mask)
    spec = EncoderSpec(file="title_encoder.onnx", dimension=expected.shape[1], rows_independent=True, precision="fp32")
    encoder = TitleEncoder(path, spec, tokenizer, threads=_THREADS)
    return encoder, check_parity(expected, encoder.encode(examples), path)


def _quantise(folder: Path, exact: TitleEncoder, backbone: TitleBackbone, recipe: Recipe) -> TitleEncoder:
    path = folder / "int8.onnx"
    quantise_titles(folder / "fp32.onnx", path)
    spec = EncoderSpec(
        file="title_encoder.onnx", dimension=exact.spec.dimension, rows_independent=False, precision="int8 dynamic"
    )
    return TitleEncoder(path, spec, open_tokenizer(backbone, recipe.max_tokens), threads=_THREADS)


def _title_f1(encoder: TitleEncoder, material: Material) -> float:
    """Best f1_mean of the title view among the validation postings."""
    rows = [row for row in material.split.validation if material.catalogue.titles[row] is not None]
    vectors: NDArray[np.float32] = np.concatenate(
        [encoder.encode([title]) for row in rows if (title := material.catalogue.titles[row]) is not None]
    )
    ranking = rank(vectors, material.catalogue.groups[rows], np.arange(len(rows)))
    return float(f1_mean(sweep(ranking, THRESHOLDS)).mean(0).max())
