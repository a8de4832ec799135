"""Golden examples: postings that ship with the bundle, and the vectors that its encoders gave where it was made."""

import platform
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from service.bundle.errors import DamagedBundle, GoldenMismatch
from service.bundle.views import View

GOLDEN = "golden/golden.json"
LEAST_COSINE = 0.999


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class GoldenExample:
    """One posting: a picture file beside golden.json, a title, and the unit vectors they gave."""

    picture: str
    title: str
    vectors: Mapping[View, tuple[float, ...]]


_ADAPTER = TypeAdapter(tuple[GoldenExample, ...])


def read_golden(bundle: Path) -> tuple[GoldenExample, ...]:
    """Read golden.json. Raises DamagedBundle."""
    path = bundle / GOLDEN
    try:
        examples = _ADAPTER.validate_json(path.read_bytes())
    except ValidationError as exc:
        raise DamagedBundle(
            f"{path}: expected golden examples, got {exc.errors(include_input=False)[0]['msg']}"
        ) from exc
    if not examples:
        raise DamagedBundle(f"{path}: expected at least one golden example, got none")
    return examples


def write_golden(bundle: Path, examples: tuple[GoldenExample, ...]) -> None:
    """Write golden.json; the pictures lie beside it already."""
    (bundle / GOLDEN).write_bytes(_ADAPTER.dump_json(examples, indent=1) + b"\n")


def compare_golden(path: Path, expected: tuple[float, ...], got: NDArray[np.float32]) -> None:
    """
    Hold one vector against its golden twin.

    Args:
        path: named in the message.
        expected, got: unit vectors (dimension,).

    Raises:
        GoldenMismatch: cosine below 0.999; names expected, got and the processor.
    """
    cosine = float(np.dot(np.asarray(expected, dtype=np.float32), got)) if len(expected) == len(got) else 0.0
    if not cosine >= LEAST_COSINE:
        raise GoldenMismatch(
            f"{path}: golden vectors: expected cosine >= {LEAST_COSINE}, got {cosine:.5f} on {_processor()}; this "
            "processor runs the encoders otherwise than the one they were exported on, use a bundle made for it"
        )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
