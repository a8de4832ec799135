"""
An ONNX file, looked at before onnxruntime sees it.

An ONNX tensor may name a file outside the model ("external data"); onnxruntime would open whatever path it names. The
walk below follows the protobuf wire format along the fields that can hold a tensor (onnx.proto: ModelProto 7 graph,
25 functions; GraphProto 1 node, 5 initializer, 15 sparse_initializer; NodeProto 5 attribute; AttributeProto 5 t, 6 g,
10 tensors, 11 graphs, 22 sparse_tensor, 23 sparse_tensors; SparseTensorProto 1 values, 2 indices; FunctionProto 7 node,
11 attribute_proto) and refuses any tensor with field 13 (external_data) or field 14 (data_location) other than 0.
"""

from collections.abc import Iterator
from pathlib import Path

from service.bundle.errors import DamagedBundle

_CHILDREN = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def read_model(path: Path) -> bytes:
    """Read an ONNX file. Raises DamagedBundle where it is no protobuf or keeps data outside itself."""
    data = path.read_bytes()
    try:
        external = _holds_external_data(memoryview(data), "model")
    except (IndexError, RecursionError) as exc:
        raise DamagedBundle(f"{path}: expected an ONNX model, found bytes that are no protobuf") from exc
    if external:
        raise DamagedBundle(f"{path}: expected all weights inside the file, found external data; export it without")
    return data


def _holds_external_data(message: memoryview, kind: str) -> bool:
    for field, value in _fields(message):
        if kind == "tensor":
            if field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0):
                return True
            continue
        child = _CHILDREN[kind].get(field)
        if child and isinstance(value, memoryview) and _holds_external_data(value, child):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, varint or bytes) of one message; fixed-size fields are passed over."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield field, value
        elif wire == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise IndexError("a field runs past its message")
            yield field, message[at : at + length]
            at += length
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise IndexError("unknown wire type")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
