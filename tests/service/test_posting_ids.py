"""Posting ids: rows E1 to E3 of the reliability table."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import IdInvalid
from service.posting_ids import check_cursor, check_id, cursor_of

IDS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1, max_size=32).filter(
    lambda text: text == text.strip() and text not in (".", "..") and len(text.encode()) <= 128
)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a" * 129,
        "é" * 65,
        "a\x00b",
        "a\nb",
        "a\x7fb",
        "a\x85b",
        "a/b",
        ".",
        "..",
        " a",
        "a ",
        "a\u3000",
        "\ud800",
        1,
        None,
        2**63,
        ["a"],
    ],
)
def test_an_unusable_id_is_refused(value: object) -> None:
    """Empty, too long, controls, slashes, dots alone, spaces at an end, surrogates, and what is no string."""
    with pytest.raises(IdInvalid) as caught:
        check_id(value)
    assert caught.value.findings[0].pointer == "/posting_id"


@pytest.mark.parametrize("value", ["1", "01", "a" * 128, "...", "a b", "%2F", "é", "e\u0301", "🫖", "'; DROP TABLE --"])
def test_a_usable_id_comes_back_as_it_was_sent(value: str) -> None:
    """Nothing is normalised: NFC and NFD spellings are two ids, and "1" is not "01"."""
    assert check_id(value) == value


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(IDS)
def test_a_cursor_leads_back_to_its_id(posting_id: str) -> None:
    """Every id makes a cursor of letters, digits, - and _, which gives the id back."""
    cursor = cursor_of(posting_id)
    assert check_cursor(cursor) == posting_id
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("cursor", ["", "!", "TUgwMQ==", "/w", "_w", "ü", "A" * 300, 5])
def test_a_made_up_cursor_is_refused(cursor: object) -> None:
    """A cursor that we did not make is a fault of the caller, not of ours."""
    with pytest.raises(ValueError, match=r"^expected a cursor"):
        check_cursor(cursor)
