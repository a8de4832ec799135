"""Offline: postings.csv and pictures become a bundle. Nothing that serves imports this package."""

import service.bundle  # noqa: F401 - before anything of ours imports onnxruntime: it keeps that from reporting home
