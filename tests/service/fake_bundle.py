"""A bundle of tiny encoders without a network: fast, deterministic, and close for what looks or reads alike."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.bundle.bundle import Bundle
from service.bundle.decision import Decision
from service.bundle.manifest import (
    Calibration,
    EncoderSpec,
    GoalThreshold,
    Manifest,
    PictureSpec,
    TitleSpec,
    ViewSetDecision,
)
from service.bundle.title import normalise_title
from service.bundle.views import Goal, View

SIDE = 8
TITLE_DIMENSION = 64
WEIGHTS = {View.IMAGE: 0.6, View.TITLE: 0.4}
THRESHOLDS = {
    "image": {Goal.PRECISION_99: 0.99, Goal.BALANCED: 0.95, Goal.RECALL_90: 0.9},
    "title": {Goal.PRECISION_99: 0.9, Goal.BALANCED: 0.7, Goal.RECALL_90: 0.5},
    "image+title": {Goal.PRECISION_99: 0.95, Goal.BALANCED: 0.8, Goal.RECALL_90: 0.7},
}


class FakeImageEncoder:
    """The pixels themselves, less their mean."""

    def __init__(self, spec: EncoderSpec) -> None:
        self.spec, self.wide_threads = spec, 2
        self.batches: list[int] = []

    def encode_wide(self, tensors: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same."""
        return self.encode(tensors)

    def encode(self, tensors: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, SIDE, SIDE, 3) to unit rows."""
        self.batches.append(len(tensors))
        rows = tensors.reshape(len(tensors), -1).astype(np.float32) - 127.0
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class FakeTitleEncoder:
    """Counts of words, each at a place that its letters give."""

    def __init__(self, spec: EncoderSpec) -> None:
        self.spec = spec
        self.batches: list[int] = []

    def encode(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Titles to unit rows."""
        self.batches.append(len(titles))
        return np.stack([self._one(title) for title in titles])

    def _one(self, title: str) -> NDArray[np.float32]:
        row = np.zeros(TITLE_DIMENSION, np.float32)
        for word in normalise_title(title).lower().split():
            row[sum(position * ord(letter) for position, letter in enumerate(word, 1)) % TITLE_DIMENSION] += 1
        return row / np.linalg.norm(row)


def fake_bundle() -> Bundle:
    """A whole bundle around the two encoders."""
    specs = {
        View.IMAGE: EncoderSpec("image_encoder.onnx", SIDE * SIDE * 3, True, "fp32"),
        View.TITLE: EncoderSpec("title_encoder.onnx", TITLE_DIMENSION, True, "fp32"),
    }
    decisions = {
        key: ViewSetDecision(
            {
                goal: GoalThreshold(score, score - 0.01, score + 0.01, 40, goal != Goal.RECALL_90)
                for goal, score in goals.items()
            },
            Calibration((0.0, 0.5, 1.0), (0.0, 0.25 if key == "image" else 0.5, 1.0)),
        )
        for key, goals in THRESHOLDS.items()
    }
    manifest = Manifest(
        format_version=1,
        encoder_id="sha256:fake",
        picture=PictureSpec(SIDE, SIDE, 512, "none", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        title=TitleSpec("kembar-1", 64),
        encoders=specs,
        weights=WEIGHTS,
        decisions=decisions,
        gallery_size=100,
        metrics={"validation": {"f1_mean": 0.9}},
        provenance={"made by": "a test"},
    )
    return Bundle(
        Path("nowhere"),
        manifest,
        "sha256:fingerprint",
        FakeImageEncoder(specs[View.IMAGE]),
        FakeTitleEncoder(specs[View.TITLE]),
        None,
        Decision(WEIGHTS, decisions),
    )
