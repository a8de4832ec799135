"""Networks become ONNX files, proved against torch; titles also in eight bits."""

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from model_training.errors import ParityError

logger = logging.getLogger(__name__)

LEAST_PARITY, LEAST_ROUNDED = 0.9999, 0.999
_OPSET = 18


def export_picture_network(network: nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write the picture graph; `example` (n, height, width, 3) uint8 is run once to trace it."""
    _export(network, (example,), path, {"pixels": {0: "n"}})


def export_title_network(network: nn.Module, example: tuple[torch.Tensor, torch.Tensor], path: Path) -> None:
    """Write the title graph; `example` is ids and mask (n, tokens) int64."""
    _export(network, example, path, {name: {0: "n", 1: "tokens"} for name in ("input_ids", "attention_mask")})


def store_in_half(path: Path) -> None:
    """
    Keep a graph's weights as float16, half the size; the runtime widens them once, when it opens the file.

    It computes in float32 as before; the rounding moves vectors by less than 1e-3 (`check_parity` with LEAST_ROUNDED).
    """
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 1:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            cast = helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)
            model.graph.node.insert(0, cast)
    onnx.save(model, path)


def quantise_titles(source: Path, target: Path) -> None:
    """
    Write the title graph with int8 weights, quantised as it runs ("dynamic").

    Per channel, since per tensor costs .03 cosine; with `reduce_range`, since otherwise processors without VNNI
    saturate and give other vectors. A row of such a graph depends on its batch: the bundle says so.
    """
    logging.disable(logging.WARNING)  # the quantiser tells the root logger of every node that it leaves alone
    try:
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
    finally:
        logging.disable(logging.NOTSET)


def check_parity(
    expected: torch.Tensor, got: NDArray[np.float32], path: Path, least_allowed: float = LEAST_PARITY
) -> float:
    """
    Hold an exported graph against torch.

    Args:
        expected, got: (n, dimension), unit rows.

    Returns:
        The least cosine.

    Raises:
        ParityError: it is below what is allowed.
    """
    least = float((expected.detach().numpy() * got).sum(1).min())
    if not least >= least_allowed:
        raise ParityError(f"{path.name}: expected cosine >= {least_allowed} between torch and ONNX, got {least:.6f}")
    logger.info("%s: least cosine to torch %.7f", path.name, least)
    return least


def _export(network: nn.Module, example: tuple[torch.Tensor, ...], path: Path, axes: dict[str, dict[int, str]]) -> None:
    # The tracing exporter: its title graph runs 13-20 % faster in batches than the newer exporter's.
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            example,
            path,
            input_names=list(axes),
            output_names=["vectors"],
            dynamic_axes={**axes, "vectors": {0: "n"}},
            opset_version=_OPSET,
            dynamo=False,
        )
