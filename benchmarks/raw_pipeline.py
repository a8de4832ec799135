"""The same work without a service: bare Pillow, onnxruntime and FAISS, alone or on all cores at the best batch size."""

import io
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import faiss
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from benchmarks.online_catalogue import Sources
from service.bundle.bundle import TOKENIZER, Bundle
from service.bundle.title import TitleTokenizer

CORES = os.cpu_count() or 1
BATCHES = (1, 2, 4, 8)
K = 50
BLAS_FROM = 4_096  # queries x dimensions from which a search by matrix product is faster (../shared/FACTS.md)
Tensor = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Raw:
    """What a match is made of, on so many threads of onnxruntime's, with its own spinning."""

    bundle: Bundle
    sources: Sources
    catalogue: faiss.Index | None
    tokens: Sequence[Mapping[str, NDArray[np.int64]]]
    image: onnxruntime.InferenceSession
    title: onnxruntime.InferenceSession

    def decode(self, number: int, *, keep: bool = False) -> Tensor:
        """A photograph as the encoder takes it; with `keep` also the picture of 512 pixels that is stored."""
        photographs, spec = self.sources.photographs, self.bundle.manifest.picture
        picture = Image.open(io.BytesIO(photographs[number % len(photographs)]))
        picture.draft("RGB", (spec.decode_side, spec.decode_side))
        picture = picture.convert("RGB")
        if keep:
            small = picture.copy()
            small.thumbnail((512, 512), Image.Resampling.BILINEAR)
            small.save(io.BytesIO(), "JPEG", quality=85)
        return np.asarray(picture.resize((spec.width, spec.height), Image.Resampling.BILINEAR))

    def encode_images(self, tensors: Sequence[Tensor]) -> NDArray[np.float32]:
        """Unit rows."""
        rows: NDArray[np.float32] = self.image.run(None, {"pixels": np.stack(tensors)})[0]
        return rows

    def encode_title(self, number: int) -> NDArray[np.float32]:
        """A unit row (1, dim): the title encoder, whose rows depend on each other, takes titles singly."""
        rows: NDArray[np.float32] = self.title.run(None, self.tokens[number % len(self.tokens)])[0]
        return rows

    def encode_lexical(self, number: int) -> None:
        """The view without a graph."""
        if self.bundle.lexical is not None:
            self.bundle.lexical.encode([self.sources.titles[number % len(self.sources.titles)]])

    def search(self, rows: int) -> None:
        """Queries that lie in the catalogue's own space."""
        if self.catalogue is not None:
            faiss.omp_set_num_threads(1)
            self.catalogue.search(np.ones((rows, self.catalogue.d), np.float32) / self.catalogue.d**0.5, K)


def raw_pipeline(bundle: Bundle, sources: Sources, catalogue: faiss.Index | None, threads: int) -> Raw:
    """Open the encoders of a bundle on so many threads each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    sessions = [
        onnxruntime.InferenceSession(str(bundle.path / name), options, providers=["CPUExecutionProvider"])
        for name in ("image_encoder.onnx", "title_encoder.onnx")
    ]
    tokenizer, tokens = TitleTokenizer(bundle.path / TOKENIZER, bundle.manifest.title.max_tokens), []
    for title in sources.titles[:200]:
        ids = tokenizer.encode(title)[None]
        tokens.append({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    return Raw(bundle, sources, catalogue, tokens, *sessions)


def single_costs(raw: Raw, rounds: int = 60) -> dict[str, float]:
    """Median milliseconds of each part, one at a time."""
    tensors = [raw.decode(number) for number in range(12)]
    parts: dict[str, Callable[[int], object]] = {
        "decode": raw.decode,
        "image": lambda number: raw.encode_images([tensors[number % 12]]),
        "title": raw.encode_title,
        "lexical": raw.encode_lexical,
        "search": lambda number: raw.search(1),
    }
    return {
        name: statistics.median(_milliseconds(part, number) for number in range(rounds)) for name, part in parts.items()
    }


def best_throughput(raw: Raw, seconds: float, *, keep: bool, search: bool) -> tuple[float, int]:
    """Items a second on all cores, each running the whole pipeline, and the batch size that gave most of them."""
    faiss.cvar.distance_compute_blas_threshold = BLAS_FROM
    found = []
    for batch in BATCHES:
        end = time.perf_counter() + seconds

        def work(core: int, batch: int = batch, end: float = end) -> int:
            done = core
            while time.perf_counter() < end:
                raw.encode_images([raw.decode(done + number, keep=keep) for number in range(batch)])
                for number in range(batch):
                    raw.encode_title(done + number)
                    raw.encode_lexical(done + number)
                if search:
                    raw.search(batch)
                done += batch
            return done - core

        started = time.perf_counter()
        with ThreadPoolExecutor(CORES) as pool:
            done = sum(pool.map(work, range(CORES)))
        found.append((done / (time.perf_counter() - started), batch))
    return max(found)


def _milliseconds(part: Callable[[int], object], number: int) -> float:
    started = time.perf_counter()
    part(number)
    return (time.perf_counter() - started) * 1e3
