"""Reads a catalogue feed, our columns or Kaggle's: one typed row per posting, one reason per bad row."""

import csv
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

_OTHER_DELIMITERS = {";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_NAMED_COLUMNS = frozenset({"posting_id", "image", "title", "label_group"})
_ESCAPED_BYTES = re.compile(r"(?:\\x[0-9a-fA-F]{2})+")
_BYTES_LITERAL = re.compile(r"""b(?P<quote>['"])(?P<text>.*)(?P=quote)""", re.DOTALL)
_LITERAL_ESCAPE = re.compile(r"""\\(['"\\nrt])""")
_LITERAL_MEANING = {"n": "\n", "r": "\r", "t": "\t"}


class FeedError(Exception):
    """The feed as a whole cannot be read; the message names file, expected and found."""


class FolderNeeded(FeedError):
    """The feed names picture files, and no folder was given."""


@dataclass(frozen=True, slots=True)
class FeedRow:
    """
    One posting of a feed. `row` counts from 1, the header being row 1, as a spreadsheet shows it.

    Its picture is a file, `image`, or at a URL, `image_url`, which nobody has fetched.
    """

    row: int
    posting_id: str
    image: Path | None
    title: str | None
    label_group: str | None
    extra: Mapping[str, str]
    image_url: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that cannot be used, and why."""

    row: int
    posting_id: str | None
    reason: str


def read_feed(path: Path, images: Path | None) -> Iterator[FeedRow | BadRow]:
    """
    Read a CSV feed row by row, without opening a picture.

    Wanted are `posting_id` and at least one of `image` (a file below `images`, or an http or https URL) and `title`;
    `label_group` is known, all other columns land in `extra`. A blank cell counts as absent. Whatever is wrong with the
    whole file is raised here, before the first row is given: FeedError. Only FolderNeeded comes with the row that names
    a file where `images` is None.
    """
    for _line in _lines(path):
        pass
    columns = _read_header(path)
    if "image" in columns and images is not None and not images.is_dir():
        raise FeedError(f"{images} is not a folder: give the folder that holds the pictures of {path.name}")
    return _rows(path, columns, images)


def decode_escaped(text: str) -> str:
    r"""
    Undo what a Python `repr` of bytes left in a text: `\xe2\x80\xa6`, also wrapped as `b'…'`; invalid bytes stay as is.

    >>> decode_escaped(r"wait\xe2\x80\xa6"), decode_escaped(r"b'Men\'s \xc3\xa9'"), decode_escaped(r"5\xff")
    ('wait…', "Men's é", '5\\xff')
    """
    if literal := _BYTES_LITERAL.fullmatch(text.strip()):
        text = _LITERAL_ESCAPE.sub(lambda escape: _LITERAL_MEANING.get(escape[1], escape[1]), literal["text"])
    return _ESCAPED_BYTES.sub(_decode_run, text)


def _decode_run(run: re.Match[str]) -> str:
    return bytes.fromhex(run[0].replace("\\x", "")).decode("utf-8", errors="backslashreplace")


def _lines(path: Path) -> Iterator[str]:
    # Decoded line by line, not by the file object, so that an error knows its line.
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1 and (line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line):
                    raise FeedError(f"{path} is UTF-16: save it as UTF-8")
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as exc:
        byte = exc.object[exc.start]
        raise FeedError(f"{path} is not UTF-8 (byte 0x{byte:02x} in line {number}): save it as UTF-8") from exc
    except OSError as exc:
        raise FeedError(f"{path} cannot be read: {exc.strerror}") from exc


def _read_header(path: Path) -> list[str]:
    try:
        columns = [cell.strip() for cell in next(csv.reader(_lines(path), strict=True), [])]
    except csv.Error as exc:
        raise FeedError(f"{path}: the header cannot be read as comma-separated: {exc}") from exc
    if not any(columns):
        raise FeedError(f"{path} starts with no header: expected columns posting_id, image, title")
    for delimiter, name in _OTHER_DELIMITERS.items():
        if len(columns) == 1 and "posting_id" in columns[0].split(delimiter):
            raise FeedError(f"{path}: expected a comma between columns, found {name}: save it comma-separated")
    if "posting_id" not in columns or not {"image", "title"} & set(columns):
        raise FeedError(f"{path}: expected columns posting_id and image or title, found {', '.join(columns)}")
    for column in columns:
        if columns.count(column) > 1:
            raise FeedError(f"{path}: column {column!r} is there more than once")
    return columns


def _rows(path: Path, columns: list[str], images: Path | None) -> Iterator[FeedRow | BadRow]:
    reader = csv.reader(_lines(path), strict=True)
    next(reader)
    first_rows: dict[str, int] = {}
    for row in itertools.count(2):
        first_line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            yield BadRow(row, None, f"quoting is broken in lines {first_line} to {reader.line_num}: {exc}")
            continue
        if not cells:
            continue
        parsed = _parse(row, columns, cells, images)
        first_row = row if parsed.posting_id is None else first_rows.setdefault(parsed.posting_id, row)
        if first_row == row:
            yield parsed
        else:
            yield BadRow(row, parsed.posting_id, f"posting_id is already in row {first_row}")


def _parse(row: int, columns: list[str], cells: list[str], images: Path | None) -> FeedRow | BadRow:
    if len(cells) != len(columns):
        return BadRow(row, None, f"expected {len(columns)} fields, found {len(cells)}")
    values = dict(zip(columns, cells, strict=True))
    posting_id = values["posting_id"]
    if not posting_id.strip():
        return BadRow(row, None, "posting_id is blank")
    name = values.get("image", "").strip()
    title = decode_escaped(values.get("title", ""))
    if not name and not title.strip():
        return BadRow(row, posting_id, "neither picture nor title")
    is_url = name.lower().startswith(("http://", "https://"))
    fault = _file_fault(row, name, images) if name and not is_url else None
    if fault:
        return BadRow(row, posting_id, fault)
    return FeedRow(
        row=row,
        posting_id=posting_id,
        image=images / name if images and name and not is_url else None,
        title=title if title.strip() else None,
        label_group=values.get("label_group") or None,
        extra={column: value for column, value in values.items() if column not in _NAMED_COLUMNS},
        image_url=name if is_url else None,
    )


def _file_fault(row: int, name: str, images: Path | None) -> str | None:
    if images is None:
        raise FolderNeeded(f"row {row} names the picture file {name}: give the folder that holds it")
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        return f"picture file lies outside the pictures folder: {name}"
    if not os.path.isfile(images / name):  # unlike Path.is_file, also False for a name the system refuses
        return f"picture file missing: {name}"
    return None
