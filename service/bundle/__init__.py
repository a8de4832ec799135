"""Leaf: a posting becomes unit vectors, a score becomes a decision. Training and serving both call this package."""

import os

# Otherwise onnxruntime leaves a device id in the home directory and reports to its maker; it looks once, when imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
