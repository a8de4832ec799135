"""Exported graphs: what keeping weights in half the room changes."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from model_training.export import export_picture_network, store_in_half


class Linear(nn.Module):
    """A picture network of one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Linear(8 * 8 * 3, 64)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.matrix(pixels.float().flatten(1) / 255)
        return vectors


def test_weights_kept_in_half_give_what_rounded_weights_give(tmp_path: Path) -> None:
    """The file is about half as large, holds no float32 tensor, and computes in float32 with the rounded weights."""
    torch.manual_seed(0)
    network, path = Linear().eval(), tmp_path / "image.onnx"
    pixels = torch.randint(0, 256, (5, 8, 8, 3), dtype=torch.uint8)
    export_picture_network(network, pixels[:2], path)
    before = path.stat().st_size
    store_in_half(path)
    assert path.stat().st_size < 0.55 * before
    assert all(
        tensor.data_type != onnx.TensorProto.FLOAT for tensor in onnx.load(path).graph.initializer if tensor.dims
    )
    network.half().float()
    (got,) = onnxruntime.InferenceSession(path).run(None, {"pixels": pixels.numpy()})
    with torch.inference_mode():
        assert np.allclose(got, network(pixels).numpy(), atol=1e-5)
