"""The multipart reader: however a body is cut, whatever is in it."""

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import multipart
from service.bundle.errors import ImageTooLarge, TitleInvalidUnicode
from service.errors import (
    BodyTooLarge,
    DuplicateField,
    FieldNotText,
    ImageNotFile,
    MalformedMultipart,
    TitleNotText,
    TooManyParts,
    TruncatedMultipart,
    UnknownField,
)
from service.multipart import Form, FormReader
from tests.service.forms import BOUNDARY, Part, form

NAMES = frozenset({"image", "title", "limit", "filter", "exclude", "metadata"})
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TITLE, IMAGE = Part("title", "Rote Tasse ☕".encode()), Part("image", b"\xff\xd8\r\n--kembar\x00", "a.jpg")


def read(body: bytes, cuts: Sequence[int] = (), boundary: str = BOUNDARY) -> Form:
    """Read a body that arrives in pieces."""
    reader = FormReader(boundary.encode(), NAMES)
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        reader.feed(body[start:end])
    return reader.finish()


def outcome(body: bytes, cuts: Sequence[int] = ()) -> Form | type[Exception]:
    """The form, or the kind of refusal."""
    try:
        return read(body, cuts)
    except Exception as exc:  # noqa: BLE001 - the kind is the outcome
        return type(exc)


def test_fields_and_file_come_back_as_they_were_sent() -> None:
    """Text is decoded as UTF-8, the bytes of the picture are untouched, even where they look like a boundary."""
    assert read(form([TITLE, IMAGE])) == Form(IMAGE.content, {"title": "Rote Tasse ☕"})


def test_a_form_without_a_picture() -> None:
    """No picture is None; an empty file is empty bytes, which is another thing."""
    assert read(form([TITLE])).image is None
    assert read(form([Part("image", b"", "")])).image == b""


FRAGMENTS = st.sampled_from(
    [
        f"--{BOUNDARY}\r\n".encode(),
        f"--{BOUNDARY}--\r\n".encode(),
        f"\r\n--{BOUNDARY}".encode(),
        b'Content-Disposition: form-data; name="title"\r\n',
        b'Content-Disposition: form-data; name="image"; filename="x"\r\n',
        b'Content-Disposition: form-data; name="limit"\r\n',
        b"\r\n",
        b"--",
        b"a title",
        b"\r",
        b"\xff\xd8\xff",
        b":",
    ]
)
CONTENTS = st.binary(max_size=60) | st.sampled_from(
    [f"\r\n--{BOUNDARY}x".encode(), b"\r\n--kembar-test-bound", b"\r\r\n-"]
)


@PATIENT
@given(title=CONTENTS, image=CONTENTS, cuts=st.lists(st.integers(0, 400), max_size=12))
def test_a_form_does_not_depend_on_how_it_is_cut(title: bytes, image: bytes, cuts: list[int]) -> None:
    """Whatever a sound form holds, it reads alike in one piece and in any pieces."""
    body = form([Part("title", title), Part("image", image, "x")])
    places = sorted(min(cut, len(body)) for cut in cuts)
    assert outcome(body, places) == outcome(body)


@PATIENT
@given(fragments=st.lists(FRAGMENTS, max_size=14), cuts=st.lists(st.integers(0, 600), max_size=12))
def test_nonsense_does_not_depend_on_how_it_is_cut(fragments: list[bytes], cuts: list[int]) -> None:
    """Shuffled pieces of forms are refused, or read, alike however they are cut, and only with our own errors."""
    body = b"".join(fragments)
    places = sorted(min(cut, len(body)) for cut in cuts)
    found = outcome(body, places)
    assert found == outcome(body)
    assert isinstance(found, Form) or found.__module__ in ("service.errors", "service.bundle.errors")


PART = form([TITLE])


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", TruncatedMultipart),
        (PART[:-4], TruncatedMultipart),  # C26
        (PART[:40], TruncatedMultipart),
        (b"no boundary at all", MalformedMultipart),
        (form([Part("title", b"x"), Part("title", b"y")]), DuplicateField),  # B12
        (form([IMAGE, IMAGE]), DuplicateField),  # C28
        (form([Part("image_url", b"http://127.0.0.1/")]), UnknownField),  # C34, F13
        (form([Part("title", b"x", "title.txt")]), TitleNotText),  # B12
        (form([Part("limit", b"5", "limit.txt")]), FieldNotText),
        (form([Part("image", b"\xff\xd8\xff")]), ImageNotFile),  # C29
        (form([Part("title", b"caf\xe9")]), TitleInvalidUnicode),  # B7
        (form([Part("filter", b"\xff")]), FieldNotText),
        (form([Part("limit", b"5")] * 14), TooManyParts),  # C27
        (form([Part("image", b"x", "x")] * 1001), TooManyParts),
        (PART.replace(b'; name="title"', b""), MalformedMultipart),  # C29
        (PART.replace(b"form-data", b"attachment"), MalformedMultipart),
        (PART.replace(b"Content-Disposition: ", b"X: 1\r\nContent-Disposition: "), Form),
        (form([Part("title", b"x", headers=b"X-Long: " + b"a" * 9_000 + b"\r\n")]), MalformedMultipart),  # C30
        (form([Part("title", b"x", headers=b"X-Many: 1\r\n" * 9)]), MalformedMultipart),  # C30
        (form([Part("title", b"x", headers=b'Content-Disposition: form-data; name="a"\r\n')]), MalformedMultipart),
        (b"\r\n" * 5_000_000 + PART, MalformedMultipart),  # C31
        (b"\r\n" + PART, Form),
        (form([Part("image", f"\r\n--{BOUNDARY}x".encode() * 400_000, "x")]), TooManyParts),  # C25
        (form([Part("title", b"x" * (multipart.MAX_FIELD_BYTES + 1))]), BodyTooLarge),
        (form([Part("image", bytes(multipart.MAX_IMAGE_BYTES), "x")]), Form),
        (form([Part("image", bytes(multipart.MAX_IMAGE_BYTES + 1), "x")]), ImageTooLarge),  # A5
        (form([Part("image", b"x", "../../etc/passwd\x00" + "a" * 4_000)]), Form),  # C32
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_odd_forms_get_what_the_table_says(body: bytes, error: type) -> None:
    """Each odd form of the reliability table is refused by its own error, or read."""
    found = outcome(body)
    assert (type(found) if isinstance(found, Form) else found) is error


@pytest.mark.parametrize("boundary", ["", "a" * 71, "with\nnewline", "ends with space ", "ü"])
def test_boundaries_outside_the_standard_are_refused(boundary: str) -> None:
    """A boundary is 1 to 70 characters of RFC 2046."""
    with pytest.raises(MalformedMultipart):
        FormReader(boundary.encode(), NAMES)


def test_padding_after_the_form_is_bounded() -> None:
    """What follows the closing boundary is not read without end."""
    reader = FormReader(BOUNDARY.encode(), NAMES)
    reader.feed(PART)
    reader.feed(b"\r\n" * 500)
    with pytest.raises(MalformedMultipart):
        reader.feed(b"\r\n" * 500)


def test_a_picture_that_is_too_large_is_refused_before_more_is_kept() -> None:
    """At the first byte beyond the limit the reader refuses, having kept no more than the limit twice."""
    reader = FormReader(BOUNDARY.encode(), NAMES)
    reader.feed(form([Part("image", b"", "x")]).removesuffix(b"\r\n" + f"--{BOUNDARY}--\r\n".encode()))
    chunk = bytes(64 * 1024)
    tracemalloc.start()
    try:
        for _ in range(multipart.MAX_IMAGE_BYTES // len(chunk)):
            reader.feed(chunk)
        with pytest.raises(ImageTooLarge):
            reader.feed(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * multipart.MAX_IMAGE_BYTES
