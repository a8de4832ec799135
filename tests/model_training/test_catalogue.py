"""Reading the postings to learn from."""

import logging
from pathlib import Path

import pytest

from model_training.catalogue import read_catalogue


def test_a_picture_at_a_url_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Training fetches nothing: a row whose picture is a URL is left out with the cure, not learned from its title."""
    (tmp_path / "postings.csv").write_text("posting_id,image,title\nm1,https://x/a.jpg,Mug\nm2,,Cup\n")

    with caplog.at_level(logging.WARNING):
        catalogue = read_catalogue(tmp_path / "postings.csv", tmp_path)

    assert (catalogue.posting_ids, catalogue.pictures) == (("m2",), (None,))
    assert "row 2 (posting m1) left out: its picture is a URL: fetch it into the folder of pictures" in caplog.text
