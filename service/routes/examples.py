"""Answers as the OpenAPI document shows them."""

MATCH = {
    "posting_id": "MH01-XS-Black",
    "probability": 0.97,
    "score": 0.913,
    "threshold": 0.74,
    "views": ["image", "title"],
    "goal_supported": True,
    "variant_conflict": [],
    "image_score": 0.871,
    "title_score": 0.988,
    "title": "Chaz Kangeroo Hoodie, black, XS",
    "metadata": {"shop": "one"},
}
MATCHES = {
    "matches": [MATCH],
    "goal": "balanced",
    "best_rejected": {"posting_id": "MH02-S-Red", "score": 0.731, "threshold": 0.74, "views": ["image", "title"]},
    "limit_reached": False,
    "model": "sha256:3f9c",
    "took_ms": 31.2,
}
POSTING = {
    "posting_id": "MH01-XS-Black",
    "title": "Chaz Kangeroo Hoodie, black, XS",
    "metadata": {"shop": "one"},
    "views": ["image", "title"],
    "revision": 7,
    "image_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-06T11:30:00Z",
}
WRITTEN = {
    "posting_id": "MH01-XS-Black",
    "revision": 7,
    "created": True,
    "changed": True,
    "views": ["image", "title"],
    "matches": None,
}
BULK_LINE = {"line": 1, "posting_id": "MH01-XS-Black", "status": 201, "problem": None}
COMPARED = {
    "match": MATCH,
    "verdicts": {
        "precision_99": {"same_product": True, "threshold": 0.81, "goal_supported": True},
        "balanced": {"same_product": True, "threshold": 0.74, "goal_supported": True},
        "recall_90": {"same_product": True, "threshold": 0.66, "goal_supported": True},
    },
    "model": "sha256:3f9c",
    "took_ms": 20.4,
}
EMBEDDINGS = {"vectors": {"title": [0.6, 0.8]}, "model": "sha256:3f9c", "took_ms": 3.1}
MODEL = {
    "encoder_id": "sha256:0c1d",
    "fingerprint": "sha256:3f9c",
    "views": ["image", "title"],
    "dimensions": {"image": 512, "title": 384},
    "weights": {"image": 0.6, "title": 0.4},
    "thresholds": {
        "image+title": {"balanced": {"score": 0.74, "low": 0.72, "high": 0.77, "groups": 900, "supported": True}}
    },
    "calibration": {"image+title": {"scores": [0.2, 0.9], "probabilities": [0.01, 0.99]}},
    "gallery_size": 34250,
    "metrics": {"validation": {"f1_mean": 0.78}},
    "provenance": {"data": "shopee"},
}
