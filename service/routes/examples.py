"""Answers as the OpenAPI document shows them."""

from datetime import UTC, datetime

from service import answers
from service.bundle.manifest import Calibration, GoalThreshold
from service.bundle.views import Goal

_ID, _TITLE, _MODEL = "MH01-XS-Black", "Chaz Kangeroo Hoodie, black, XS", "sha256:3f9c"
_BOTH = ("image", "title")
_MATCH = answers.Match(_ID, 0.97, 0.913, 0.74, _BOTH, True, (), 0.871, 0.988, 0.902, _TITLE, {"shop": "one"})
_REJECTED = answers.Rejected("MH02-S-Red", 0.731, 0.74, _BOTH)
MATCHES = answers.MatchAnswer((_MATCH,), Goal.BALANCED, _REJECTED, False, _MODEL, 31.2)
_TIMES = datetime(2026, 1, 5, 10, tzinfo=UTC), datetime(2026, 1, 6, 11, 30, tzinfo=UTC)
POSTING = answers.PostingAnswer(_ID, _TITLE, {"shop": "one"}, _BOTH, 7, "9f86d081884c7d65…", *_TIMES)
PAGE = answers.Page((POSTING,), "TUgwMS1YUy1CbGFjaw")
CREATED = answers.WrittenAnswer(_ID, 7, True, True, _BOTH)
REPLACED = answers.WrittenAnswer(_ID, 8, False, True, _BOTH)
BULK_LINE = answers.BulkLine(1, _ID, 201, None)
_VERDICTS = {goal: answers.Verdict(True, 0.74, True) for goal in Goal}
COMPARED = answers.CompareAnswer(_MATCH, _VERDICTS, _MODEL, 20.4)
EMBEDDINGS = answers.EmbeddingsAnswer({"title": (0.6, 0.8)}, _MODEL, 3.1)
MODEL = answers.ModelAnswer(
    encoder_id="sha256:0c1d",
    fingerprint=_MODEL,
    views=_BOTH,
    dimensions={"image": 512, "title": 384},
    weights={"image": 0.6, "title": 0.4},
    thresholds={"image+title": {Goal.BALANCED: GoalThreshold(0.74, 0.72, 0.77, 900, True)}},
    calibration={"image+title": Calibration((0.2, 0.9), (0.01, 0.99))},
    gallery_size=34250,
    metrics={"validation": {"f1_mean": 0.78}},
    provenance={"data": "shopee"},
)
