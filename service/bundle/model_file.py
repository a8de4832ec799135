"""
An ONNX file, looked at before onnxruntime sees it.

An ONNX tensor may name a file outside the model ("external data"); onnxruntime would open whatever path it names. The
walk below follows the protobuf wire format along the fields of onnx.proto that can hold a tensor.
"""

from collections.abc import Iterator
from pathlib import Path

from service.bundle.errors import DamagedBundle
from service.bundle.reader import Reader

_CHILDREN = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _BYTES = 0, 2  # wire types
_FIXED_BYTES = {1: 8, 5: 4}


def read_model(path: Path) -> bytes:
    """Read an ONNX file. Raises DamagedBundle where it is no protobuf or keeps data outside itself."""
    data = path.read_bytes()
    try:
        external = _holds_external_data(memoryview(data), "model")
    except (LookupError, RecursionError) as exc:
        raise DamagedBundle(f"{path}: expected an ONNX model, found bytes that are no protobuf") from exc
    if external:
        raise DamagedBundle(f"{path}: expected all weights inside the file, found external data; export it without")
    return data


def _holds_external_data(message: memoryview, kind: str) -> bool:
    for field, value in _fields(message):
        if kind == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)):
            return True
        child = _CHILDREN[kind].get(field)
        if child and isinstance(value, memoryview) and _holds_external_data(value, child):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, varint or bytes) of one message; raises LookupError where it is none."""
    reader = Reader(message)
    while reader.left_bytes:
        field, wire = divmod(reader.varint(), 8)
        if wire == _VARINT:
            yield field, reader.varint()
        else:
            yield field, reader.take(reader.varint() if wire == _BYTES else _FIXED_BYTES[wire])
