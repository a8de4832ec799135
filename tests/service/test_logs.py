"""Log lines: one line of JSON each, whatever is in them."""

import json
import logging
import sys

import pytest

from service.logs import MAX_LINE_BYTES, JsonLines


def line(message: str = "request", **fields: object) -> str:
    record = logging.makeLogRecord(
        {"name": "service.test", "levelno": 20, "levelname": "INFO", "msg": message} | fields
    )
    return JsonLines().format(record)


def test_fields_stand_beside_the_message() -> None:
    """Message, level, logger and time, and what was given as extra."""
    found = json.loads(line(status=200, ms=1.5))
    assert {name: found[name] for name in ("message", "level", "logger", "status", "ms")} == {
        "message": "request",
        "level": "info",
        "logger": "service.test",
        "status": 200,
        "ms": 1.5,
    }
    assert found["time"].endswith("+00:00")


@pytest.mark.parametrize("text", ["a\r\nb", "\x1b[2J", "\u202e", "\x00", "\ud800", '"}', "\u2028"])
def test_no_control_character_is_written_raw(text: str) -> None:
    """Row F16: what could forge a line or steer a terminal is escaped; the line is ASCII."""
    written = line(posting_id=text)
    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written)["posting_id"] == text


def test_a_line_is_bounded() -> None:
    """Row F16: a megabyte in a field, or in many, makes a line of at most 8 KB that is still JSON."""
    assert len(json.loads(line(path="a" * 1_000_000))["path"]) == 1_000
    many = line(**{f"field{number}": "🫖" * 1_000 for number in range(20)})
    assert len(many) <= MAX_LINE_BYTES
    assert json.loads(many)["message"] == "a log line was too long"


def test_a_traceback_is_a_field() -> None:
    """An exception does not break the line."""
    try:
        raise ValueError("two\nlines")
    except ValueError:
        found = json.loads(line("unexpected error", exc_info=sys.exc_info()))
    assert "two\nlines" in found["traceback"]
