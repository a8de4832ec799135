"""bundle.json: what it holds, how it is read and written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from service.bundle.errors import DamagedBundle
from service.bundle.views import Goal, View

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
T = TypeVar("T")
Score = Annotated[float, Field(ge=-1, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True, config=STRICT)
class PictureSpec:
    """
    How a picture becomes a tensor; part of the encoder id.

    `decode_side` is the shorter side, in pixels, down to which decoding may shrink, for tensor and stored picture
    alike. `crop` is "none": the whole picture is squeezed into height x width. `mean` and `std` (RGB, 0..1) are applied
    inside the ONNX graph and stand here for the reader.
    """

    height: int
    width: int
    decode_side: int
    crop: Literal["none"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, slots=True, config=STRICT)
class TitleSpec:
    """How a title becomes tokens; part of the encoder id. `normalisation` names the rules of `service.bundle.title`."""

    normalisation: Literal["kembar-1"]
    max_tokens: int


@dataclass(frozen=True, slots=True, config=STRICT)
class EncoderSpec:
    """
    One encoder's file: an ONNX graph, or the rarity weights of the lexical view.

    `rows_independent` is False where quantisation ties a row to its batch: run rows singly. `precision` names also the
    rules of the lexical view.
    """

    file: str
    dimension: int
    rows_independent: bool
    precision: str


@dataclass(frozen=True, slots=True, config=STRICT)
class GoalThreshold:
    """
    The fused score from which two postings count as one product, for one goal.

    `low` and `high` bound the 95 % bootstrap interval over `groups` groups; `supported` is False where the validation
    data could not carry the goal, and answers say so. `per_tenfold` is how much higher the score has to be in a gallery
    ten times as large as the one it was learned in: more strangers, more of them near.
    """

    score: Score
    low: Score
    high: Score
    groups: int
    supported: bool
    per_tenfold: Annotated[float, Field(ge=0, le=1)] = 0.0


@dataclass(frozen=True, slots=True, config=STRICT)
class Calibration:
    """Probability as a function of the fused score: linear between knots, flat outside, never falling."""

    scores: tuple[Score, ...]
    probabilities: tuple[Probability, ...]


@dataclass(frozen=True, slots=True, config=STRICT)
class ViewSetDecision:
    """
    Thresholds and calibration of one set of shared views.

    `conflict_calibration` is for pairs whose titles contradict each other, and None where no title is shared.
    """

    thresholds: Mapping[Goal, GoalThreshold]
    calibration: Calibration
    conflict_calibration: Calibration | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class Manifest:
    """The whole of bundle.json. `weights` sum to 1; `decisions` are keyed by `view_set_key`."""

    format_version: Literal[1]
    encoder_id: str
    picture: PictureSpec
    title: TitleSpec
    encoders: Mapping[View, EncoderSpec]
    weights: Mapping[View, Annotated[float, Field(gt=0, le=1)]]
    decisions: Mapping[str, ViewSetDecision]
    gallery_size: int
    metrics: Mapping[str, Mapping[str, float]]
    provenance: Mapping[str, str]


MANIFEST_ADAPTER = TypeAdapter(Manifest)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write bundle.json, indented and with sorted keys, so that two equal bundles are equal bytes."""
    document = MANIFEST_ADAPTER.dump_python(manifest, mode="json")
    path.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_document(path: Path, adapter: TypeAdapter[T]) -> T:
    """Read a JSON file of the bundle. Raises DamagedBundle, naming the field, what was expected and what was found."""
    try:
        return adapter.validate_json(path.read_bytes())
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise DamagedBundle(f"{path}: {where}: {first['msg']} ({exc.error_count()} faults in all)") from exc
