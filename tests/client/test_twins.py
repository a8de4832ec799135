"""The blocking client and its async twin: the same names, signatures and words, and types that a checker knows."""

import inspect
import pydoc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kembar_client import AsyncKembar, Kembar
from kembar_client.answers import MatchAnswer

ROOT = Path(__file__).parents[2]


def public(client: type) -> dict[str, Callable[..., object]]:
    """What a caller sees of a client."""
    return {name: getattr(client, name) for name in dir(client) if not name.startswith("_")}


def test_the_twins_have_the_same_names() -> None:
    """Each method of one is a method of the other, and they are those of the interface."""
    calls = {"match", "matches_of", "put", "put_and_match", "patch", "get", "delete", "picture", "listing", "compare"}
    others = {"embeddings", "model", "limits", "ready", "scan", "bulk", "send", "close"}

    assert set(public(Kembar)) == set(public(AsyncKembar)) == calls | others


@pytest.mark.parametrize("name", [*sorted(public(Kembar)), "__init__"])
def test_the_twins_take_and_give_the_same(name: str) -> None:
    """A method takes the same in both, by the same names and defaults, gives the same, and has the same words."""
    blocking, awaited = getattr(Kembar, name), getattr(AsyncKembar, name)
    ours, theirs = inspect.signature(blocking), inspect.signature(awaited)

    assert [(one.name, one.kind, one.default) for one in ours.parameters.values()] == [
        (one.name, one.kind, one.default) for one in theirs.parameters.values()
    ]
    assert str(theirs.return_annotation).replace("AsyncIterator", "Iterator") == str(ours.return_annotation)
    assert name == "close" or blocking.__doc__ == awaited.__doc__


def test_help_shows_what_a_method_gives() -> None:
    """`help` tells the arguments, the answer and what the method does, and of the twin that it is awaited."""
    blocking, awaited = (pydoc.plain(pydoc.render_doc(client.get)) for client in (Kembar, AsyncKembar))

    assert "get(self, posting_id: str) -> kembar_client.answers.Posting" in blocking
    assert "async get(self, posting_id: str) -> kembar_client.answers.Posting" in awaited
    assert "What is stored under an id; raises `NotFound`." in blocking
    assert inspect.signature(Kembar("http://kembar").match).return_annotation is MatchAnswer


def test_types_are_known_to_a_checker() -> None:
    """mypy in its strict mode knows what each client gives, and finds a misspelt argument; the examples pass it too."""
    checked = [ROOT / "tests/client/typed_calls.py", *(ROOT / "docs/examples").glob("*.py")]
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", *checked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
