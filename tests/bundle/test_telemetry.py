"""Kembar tells nobody that it runs, and neither do its libraries."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUPPRESSORS = {"CI", "CIRCLECI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "TRAVIS", "ORT_DISABLE_TELEMETRY"}


@pytest.mark.parametrize("module", ["service.bundle.encoder", "service.app", "model_training.export"])
def test_loading_the_encoders_library_leaves_nothing_behind(tmp_path: Path, module: str) -> None:
    """No device id and no queue of reports appear in the home directory, as onnxruntime by itself would leave them."""
    kept = {name: value for name, value in os.environ.items() if name not in SUPPRESSORS}
    code = f"import {module}, onnxruntime; onnxruntime.SessionOptions()"
    subprocess.run([sys.executable, "-c", code], env=kept | {"HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*")) == []
