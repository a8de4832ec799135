"""Reads the Markdown that the docs are written in: headings, links, tables, and blocks of code with their notes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_NOTE = re.compile(r"<!-- not run: ((?:(?!-->).)+) -->\n *\Z", re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block; `not_run` is the reason that stands in a comment on the line before it."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text()
    for found in _FENCE.finditer(text):
        note = _NOTE.search(text[: found.start()])
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found[1], found[2], note and " ".join(note[1].split()))


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Where the links of a page lead."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page have."""
    titles = (re.sub(r"[`*]|\[(.*?)\]\(.*?\)", r"\1", title) for _, title in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def section(page: Path, title: str) -> str:
    """The text below a heading, up to the next one of its level."""
    text = page.read_text()
    found = re.search(rf"^(#+) {re.escape(title)}$\n(.*?)(?=^#{{1,2}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no heading {title!r}"
    return found[2]


def rows(text: str) -> list[list[str]]:
    """The rows of all tables in a text, without their headings; cells without backticks."""
    tables = re.findall(r"^\|.*\n\|[-| ]+\n((?:\|.*\n?)+)", text, re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]
