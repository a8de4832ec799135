"""Strict JSON: what the standard parser lets through is refused here."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.bodies import MAX_DEPTH, chunks, parse_json
from service.errors import BodyTooLarge, BodyTooSlow, MalformedJson

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_sound_json_reads_as_the_standard_library_reads_it(value: object) -> None:
    """What is JSON by the standard comes back as it went in, escaped or not."""
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        if "\\ud" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text):
            assert parse_json(text.encode()) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"",  # D1
        b'{"title":',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"title": "caf\xe9"}',
        b'{"threshold": NaN}',  # D2
        b'{"threshold": Infinity}',
        b'{"threshold": -Infinity}',
        b'{"threshold": 1e999}',
        b"[" * 100_000,  # D3
        b'{"a":' * 100_000,
        b"[" * 15_000 + b"]" * 15_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"limit": ' + b"9" * 5_000 + b"}",
        b'{"limit": 9223372036854775808}',
        b'{"a": 1, "a": 2}',  # D4
        b'{"a": {"b": 1, "b": 1}}',
        b"{} {}",
        b"{'a': 1}",
        b'{"a": "\n"}',
        b"[" + b"0," * 30_000 + b"0]",
    ],
)
def test_bad_json_is_refused(raw: bytes) -> None:
    """Rows D1 to D4: malformed, and nothing of it is told back."""
    with pytest.raises(MalformedJson) as caught:
        parse_json(raw)
    assert "caf" not in str(caught.value)


def test_odd_giants_cost_little() -> None:
    """Rows D3, C25: fifteen megabytes of escapes, of brackets or of values take well below a second."""
    giants = [
        b'{"a": [' + b"[]," * 40 + b'"' + b"\\n" * 7_000_000 + b'"]}',
        b'{"a": "' + b"[" * 15_000_000 + b'"}',
        b"[" + b'"a",' * 3_000_000 + b'"a"]',
    ]
    started = time.process_time()
    for giant in giants:
        with suppress(MalformedJson):
            parse_json(giant)
    assert time.process_time() - started < 2


def test_brackets_in_strings_are_no_depth() -> None:
    """Depth is counted outside of strings, also where they hold escaped quotes."""
    text = '\\"[[[' * 200
    assert parse_json(f'{{"title": "{text}"}}'.encode()) == {"title": text.replace("\\", "")}


def test_the_deepest_that_is_taken() -> None:
    """Exactly `MAX_DEPTH` levels are read."""
    value: object = 0
    for _ in range(MAX_DEPTH):
        value = [value]
    assert parse_json(json.dumps(value).encode()) == value


class Dripping:
    """A request whose body comes a byte a time."""

    headers: ClassVar[dict[str, str]] = {}

    async def stream(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b"a"


def test_a_body_that_comes_too_slowly() -> None:
    """Row C21: the time is for the whole body, so a byte now and then does not buy more of it."""

    async def read() -> int:
        return sum([len(chunk) async for chunk in chunks(Dripping(), 1_000, seconds=0.1)])

    with pytest.raises(BodyTooSlow):
        asyncio.run(read())


def test_a_body_that_is_too_long() -> None:
    """Bytes are counted as they come, whatever was announced."""

    async def read() -> int:
        return sum([len(chunk) async for chunk in chunks(Dripping(), 5, seconds=10)])

    with pytest.raises(BodyTooLarge):
        asyncio.run(read())
