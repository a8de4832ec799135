"""A whole bundle of tiny ONNX graphs, made in milliseconds: real files for tests of what reads bundles."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from service.bundle.bundle import MANIFEST, TOKENIZER, compute_encoder_id
from service.bundle.encoder import ImageEncoder, TitleEncoder
from service.bundle.golden import GOLDEN, GoldenExample, write_golden
from service.bundle.manifest import (
    Calibration,
    EncoderSpec,
    GoalThreshold,
    Manifest,
    PictureSpec,
    TitleSpec,
    ViewSetDecision,
    write_manifest,
)
from service.bundle.picture import decode_picture, picture_tensor
from service.bundle.sealing import digest_of, seal
from service.bundle.title import TitleTokenizer
from service.bundle.views import Goal, View

SIDE, DIMENSION, WORDS = 8, 6, 50
PICTURE = PictureSpec(height=SIDE, width=SIDE, decode_side=32, crop="none", mean=(0.5,) * 3, std=(0.5,) * 3)
TITLE = TitleSpec(normalisation="kembar-1", max_tokens=8)
SPECS = {
    View.IMAGE: EncoderSpec("image_encoder.onnx", DIMENSION, True, "fp32"),
    View.TITLE: EncoderSpec("title_encoder.onnx", DIMENSION, True, "fp32"),
}


def write_tiny_bundle(path: Path, *, seed: int = 0) -> Path:
    """Write a valid bundle; another seed has other encoders."""
    (path / GOLDEN).parent.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    _save(_image_graph(rng), path / SPECS[View.IMAGE].file)
    _save(_title_graph(rng), path / SPECS[View.TITLE].file)
    vocabulary = {"[UNK]": 0, **{f"word{number}": number for number in range(1, WORDS)}}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(path / TOKENIZER))
    write_golden(path, (_golden_example(path, rng),))
    finish(path)
    return path


def finish(path: Path) -> None:
    """Write the manifest over the files that are there, and seal them."""
    threshold = GoalThreshold(0.5, 0.4, 0.6, 40, True)
    decision = ViewSetDecision(dict.fromkeys(Goal, threshold), Calibration((0.0, 1.0), (0.0, 1.0)))
    digests = {name: digest_of(path / name) for name in (TOKENIZER, *(spec.file for spec in SPECS.values()))}
    manifest = Manifest(
        format_version=1,
        encoder_id=compute_encoder_id(digests, SPECS, PICTURE, TITLE),
        picture=PICTURE,
        title=TITLE,
        encoders=SPECS,
        weights={View.IMAGE: 0.6, View.TITLE: 0.4},
        decisions=dict.fromkeys(("image", "title", "image+title"), decision),
        gallery_size=100,
        metrics={},
        provenance={},
    )
    write_manifest(path / MANIFEST, manifest)
    seal(path)


def _golden_example(path: Path, rng: np.random.Generator) -> GoldenExample:
    picture = (path / GOLDEN).parent / "0.png"
    Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(picture)
    tensor = picture_tensor(decode_picture(picture.read_bytes(), PICTURE.decode_side), PICTURE)
    image = ImageEncoder(path / SPECS[View.IMAGE].file, SPECS[View.IMAGE], threads=1)
    tokenizer = TitleTokenizer(path / TOKENIZER, TITLE.max_tokens)
    title = TitleEncoder(path / SPECS[View.TITLE].file, SPECS[View.TITLE], tokenizer, threads=1)
    vectors = {View.IMAGE: image.encode(tensor[None])[0], View.TITLE: title.encode(["word1 word2"])[0]}
    return GoldenExample("0.png", "word1 word2", {view: tuple(map(float, row)) for view, row in vectors.items()})


def _image_graph(rng: np.random.Generator) -> onnx.ModelProto:
    """Pixels, flattened and projected."""
    weights = rng.normal(size=(SIDE * SIDE * 3, DIMENSION)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["real"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["projected"]),
        helper.make_node("LpNormalization", ["projected"], ["vectors"], axis=1, p=2),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    return _model(nodes, [pixels], {"weights": weights})


def _title_graph(rng: np.random.Generator) -> onnx.ModelProto:
    """The sum of the words' vectors."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["words", "wide"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "tokens"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["vectors"], axis=1, p=2),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens_in"])
        for name in ("input_ids", "attention_mask")
    ]
    table = rng.normal(size=(WORDS, DIMENSION)).astype(np.float32)
    return _model(nodes, inputs, {"table": table, "last": np.array([2]), "tokens": np.array([1])})


def _model(
    nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], constants: dict[str, np.ndarray]
) -> onnx.ModelProto:
    output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", DIMENSION])
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, [output], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _save(model: onnx.ModelProto, path: Path) -> None:
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
