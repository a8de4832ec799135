"""The two encoders: ONNX graphs that turn tensors and titles into unit vectors."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from service.bundle.errors import DamagedBundle, ModelFault
from service.bundle.manifest import EncoderSpec
from service.bundle.title import TitleTokenizer

MOST_WIDE_THREADS = 4  # beyond, a picture's layers are too small to be shared out
_Feeds = Mapping[str, NDArray[np.generic]]
# A tensor with "external data" names a file, or an address in memory, under this key, and onnxruntime reads whatever it
# names. In protobuf a string is its length, a number of one byte or more, and its bytes: no such tensor goes unseen.
_EXTERNAL_DATA = re.compile(rb"(?:\x08|\x88\x80{0,8}\x00)location")


class ImageEncoder:
    """Pictures, as `picture_tensor` gives them, to unit vectors. Thread-safe; each call takes one core, or several."""

    def __init__(self, path: Path, spec: EncoderSpec, *, threads: int) -> None:
        self.spec, self.wide_threads = spec, min(threads, MOST_WIDE_THREADS)
        self._session = _open_session(path, {"pixels"}, 1)
        self._wide_session = self._session if threads == 1 else _open_session(path, {"pixels"}, self.wide_threads)

    def encode(self, tensors: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode (n, height, width, 3) uint8 to (n, dimension) unit rows; raise ModelFault where one is not."""
        return self._encoded(self._session, tensors)

    def encode_wide(self, tensors: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same on `wide_threads` cores: sooner done, for more work in all."""
        return self._encoded(self._wide_session, tensors)

    def _encoded(self, session: onnxruntime.InferenceSession, tensors: NDArray[np.uint8]) -> NDArray[np.float32]:
        batches = [tensors] if self.spec.rows_independent else [row[None] for row in tensors]
        return np.concatenate([_run(session, {"pixels": batch}, self.spec) for batch in batches])


class TitleEncoder:
    """Titles to unit vectors. Thread-safe."""

    def __init__(self, path: Path, spec: EncoderSpec, tokenizer: TitleTokenizer, *, threads: int) -> None:
        self.spec = spec
        self._tokenizer = tokenizer
        self._session = _open_session(path, {"input_ids", "attention_mask"}, threads)

    def encode(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Encode n titles to (n, dimension) unit rows; raise ModelFault where one is not."""
        tokens = [self._tokenizer.encode(title) for title in titles]
        batches = [tokens] if self.spec.rows_independent else [[ids] for ids in tokens]
        return np.concatenate([_run(self._session, _padded(batch), self.spec) for batch in batches])


def _padded(tokens: Sequence[NDArray[np.int64]]) -> _Feeds:
    input_ids = np.zeros((len(tokens), max(map(len, tokens))), dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    for row, ids in enumerate(tokens):
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}


def _open_session(path: Path, inputs: set[str], threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning pool takes the core that the next stage wants (FACTS.md: 6.4 ms against 3.7 beside a busy process).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    model = path.read_bytes()
    if _EXTERNAL_DATA.search(model):
        raise DamagedBundle(f"{path}: expected all weights inside the file, found external data; export it without")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime has a class for each status, with Exception as parent
        raise DamagedBundle(f"{path}: expected a model that onnxruntime can run, got {type(exc).__name__}") from exc
    found = {node.name for node in session.get_inputs()}
    if found != inputs or len(session.get_outputs()) != 1:
        raise DamagedBundle(f"{path}: expected inputs {sorted(inputs)} and one output, got {sorted(found)}")
    return session


def _run(session: onnxruntime.InferenceSession, feeds: _Feeds, spec: EncoderSpec) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = session.run(None, feeds)[0]
    if vectors.ndim != 2 or vectors.shape[1] != spec.dimension:
        raise ModelFault(f"{spec.file}: expected vectors of {spec.dimension} numbers, got shape {vectors.shape}")
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.all(np.abs(lengths - 1) < 1e-3):  # NaN fails this comparison too
        raise ModelFault(f"{spec.file}: expected unit vectors, got lengths {lengths.min()} to {lengths.max()}")
    return vectors
