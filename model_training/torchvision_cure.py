"""
Import torchvision and transformers so that both work beside a CPU build of torch; take them from here.

The torchvision wheel is linked to CUDA and registers its operators from that library; beside a CPU torch the library
does not load, and importing torchvision (or transformers' models, while torchvision is installed) fails with "operator
torchvision::nms does not exist". Defining the schemas of the operators that torchvision hangs its meta kernels on is
enough; they stay without an implementation, and we never call them. On a CUDA build nothing is done.
"""

import torch

_library: torch.library.Library | None = None  # the definitions live as long as this reference

if torch.version.cuda is None:
    _library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch does not type it
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]

import torchvision  # noqa: E402 - after its cure
import transformers  # noqa: E402 - likewise

__all__ = ["torchvision", "transformers"]
