"""EfficientNet-Lite0, held against TensorFlow's rule for its padding."""

import numpy as np
import pytest
import torch

from model_training.efficientnet_lite import _convolution, build_stages


@pytest.mark.parametrize(("kernel", "side"), [(3, 8), (5, 8), (5, 14)])
def test_a_stride_of_two_pads_as_tensorflow_does(kernel: int, side: int) -> None:
    """Of the missing rows the smaller half comes before the picture, the larger one behind it."""
    layer = _convolution(1, 1, kernel=kernel, stride=2).eval()
    pixels = torch.rand(1, 1, side, side)
    with torch.inference_mode():
        got = layer(pixels)[0, 0].numpy()
    weight = next(layer.parameters()).detach().numpy()[0, 0]
    missing = (side // 2 - 1) * 2 + kernel - side
    padded = np.pad(pixels[0, 0].numpy(), (missing // 2, missing - missing // 2))
    sums = [
        [(padded[y : y + kernel, x : x + kernel] * weight).sum() for x in range(0, side, 2)] for y in range(0, side, 2)
    ]
    assert np.allclose(got, np.clip(np.array(sums) / np.sqrt(1 + 1e-3), 0, 6), atol=1e-5)


def test_the_network_has_the_size_and_stages_of_the_release() -> None:
    """3,371,008 weights without the classifier, as the release has; channels and sides stage by stage."""
    stages = build_stages().eval()
    assert sum(one.numel() for one in stages.parameters()) == 3_371_008
    pixels, seen = torch.zeros(1, 3, 64, 64), []
    with torch.inference_mode():
        for stage in stages:
            pixels = stage(pixels)
            seen.append(tuple(pixels.shape[1:3]))
    assert seen == [(32, 32), (16, 32), (24, 16), (40, 8), (80, 4), (112, 4), (192, 2), (320, 2), (1280, 2)]
