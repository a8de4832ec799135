"""
The OpenAPI document under a schema fuzzer: what it promises is what the service does.

A long run: `KEMBAR_FUZZ_SECONDS=600 KEMBAR_FUZZ_SEED=7 pytest tests/service/test_schema_fuzz.py`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kembar_client import Kembar
from tests.commands.live_service import live_service
from tests.service.schema_fuzz_hooks import KEPT, PICTURE
from tests.service.test_openapi import ROUTES

SECONDS, SEED = os.environ.get("KEMBAR_FUZZ_SECONDS"), os.environ.get("KEMBAR_FUZZ_SEED", "1")
# A schema cannot say all that makes a title, a picture or an id usable: valid is what is not called malformed.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "304", "404", "412", "413", "415", "422"]

[checks.negative_data_rejection]
expected-statuses = ["400", "404", "405", "412", "413", "415", "422"]

# Bad lines are told in the answer, with 200; and whatever a form holds is text, which a title may be.
[[operations]]
include-path-regex = "^/v1/(bulk|matches|embeddings|postings/[{]posting_id[}])$"
checks.negative_data_rejection.enabled = false
"""


@pytest.mark.timeout(60 + int(SECONDS or 0))
def test_the_document_is_kept(tmp_path: Path) -> None:
    """Valid, invalid and chained calls of every route get a declared status, media type and schema, and never a 5xx."""
    (tmp_path / "fuzz.toml").write_text(CONFIG)
    with live_service(tmp_path / "data") as service, Kembar(service.url) as kembar:
        for posting_id in (KEPT, "its twin"):
            kembar.put(posting_id, image=PICTURE, title="Red plate", metadata={"shop": "one"})
        command = [Path(sys.executable).with_name("st"), "--config-file", tmp_path / "fuzz.toml", "run"]
        bound = ["--max-time", SECONDS] if SECONDS else ["--max-examples", "25"]
        ended = subprocess.run(
            [*command, f"{service.url}/openapi.json", "--seed", SEED, "--no-color", "--continue-on-failure", *bound],
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.service.schema_fuzz_hooks", "PYTHONPATH": str(Path.cwd())},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-2_000:]
    assert f"Tested: {len(ROUTES)}" in ended.stdout, ended.stdout[-3_000:]
