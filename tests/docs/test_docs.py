"""The docs say what the code does: settings, commands, calls, problems, metrics; and their links lead somewhere."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from starlette.testclient import TestClient

from model_training.commands import main as kembar_train
from service.app import build_app
from service.commands.exits import Exit
from service.commands.main import main as kembar
from service.problems import FRAMEWORK, INTERNAL, PROBLEMS
from service.settings import Settings
from tests.docs.markdown import anchors, blocks, links, prose, rows, section
from tests.service.fake_bundle import fake_bundle

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("**/*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app = build_app(Settings(data_dir=tmp_path_factory.mktemp("data"), threads=1), lambda *_: fake_bundle())
    with TestClient(app) as client:
        yield client


def commands(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*words, name), command


COMMANDS = dict([*commands(kembar, ("kembar",)), *commands(kembar_train, ("kembar-train",))])


def options(command: click.Command) -> set[str]:
    """All spellings of a command's options."""
    return {
        spelling
        for option in command.params
        if isinstance(option, click.Option)
        for spelling in (*option.opts, *option.secondary_opts)
    }


def test_every_setting_is_documented() -> None:
    """settings.md has each setting with its option, its variable and its default, and no other."""
    documented = {option: (variable, default) for option, variable, default, *_ in rows(prose(DOCS / "settings.md"))}
    assert documented == {
        f"--{name.replace('_', '-')}": (f"KEMBAR_{name.upper()}", str(field.default).lower())
        for name, field in Settings.model_fields.items()
    }


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_is_documented(words: tuple[str, ...]) -> None:
    """commands.md has a section per command, whose table has the command's options and no other."""
    documented = {
        option for row in rows(section(DOCS / "commands.md", " ".join(words))) for option in row[0].split(", ")
    }
    settings = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
    without = settings | {f"--no-{name[2:]}" for name in settings} if words == ("kembar", "serve") else set()
    assert {option for option in documented if option.startswith("-")} == options(COMMANDS[words]) - without


def test_every_command_is_documented() -> None:
    """commands.md has no section for a command that does not exist."""
    text = (DOCS / "commands.md").read_text()
    assert set(re.findall(r"^## (kembar.*)$", text, re.MULTILINE)) == {" ".join(words) for words in COMMANDS}


def test_every_exit_code_is_documented() -> None:
    """The table of exit codes is that of the commands."""
    table = rows(section(DOCS / "commands.md", "Exit codes"))
    assert {int(code) for code, *_ in table} == {code.value for code in Exit}


def test_every_problem_is_documented() -> None:
    """api.md has each type of problem with its status, and no other."""
    kinds = {*PROBLEMS.values(), INTERNAL, *(kind for kind, _ in FRAMEWORK.values())}
    documented = {slug: int(status) for slug, status, *_ in rows(section(DOCS / "api.md", "Problems"))}
    assert documented == {kind.slug: kind.status for kind in kinds}


def test_every_call_is_documented(served: TestClient) -> None:
    """api.md's first table has each call of the OpenAPI document, and no other."""
    calls = re.findall(r"^\| \[`([A-Z]+ \S+)`\]", (DOCS / "api.md").read_text(), re.MULTILINE)
    paths = served.get("/openapi.json").json()["paths"]
    assert set(calls) == {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def test_every_metric_is_documented(served: TestClient) -> None:
    """runbook.md's table has each metric of ours, and no other; nor does any page name another."""
    served.get("/livez")
    text = served.get("/metrics").text
    exist = {name for name in re.findall(r"^# TYPE (kembar_\S+)", text, re.MULTILINE) if not name.endswith("_created")}
    assert {row[0].partition("{")[0] for row in rows(section(DOCS / "runbook.md", "Metrics"))} == exist
    parts = {name + part for name in exist for part in ("_bucket", "_sum", "_count")}
    named = {name for page in PAGES for name in re.findall(r"\bkembar_[a-z_]+\b", page.read_text())}
    assert named - exist - parts <= {"kembar_client"}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link within the project finds its file and its heading."""
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def test_alerts_lead_into_the_runbook() -> None:
    """Every page that an alert names is there."""
    alerts = ROOT / "deploy" / "alerts.yml"
    named = re.findall(r"docs/([\w-]+\.md)#([\w-]+)", alerts.read_text())
    assert named
    for page, anchor in named:
        assert anchor in anchors(DOCS / page), anchor


def test_every_page_is_in_the_index() -> None:
    """docs/README.md leads to every page beside it, to the decisions and to the examples."""
    beside = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert beside <= {link.partition("#")[0] for link in links(DOCS / "README.md")}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_json_parses(page: Path) -> None:
    """Every JSON block is JSON, once what `…` leaves out is left out."""
    for block in blocks(page):
        if block.language == "json":
            json.loads(re.sub(r",?\s*…", "", block.text))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist(page: Path) -> None:
    """Every command that a page shows, run or not, is one of ours with options that it has."""
    shown = [block.text for block in blocks(page) if block.language == "sh"]
    lines = [line.partition(" # ")[0] for text in shown for line in text.replace("\\\n", " ").splitlines()]
    for line in (*lines, *re.findall(r"`([^`\n]*kembar[^`\n]*)`", prose(page))):
        found = re.match(r"(?:\S*/)?(kembar(?:-train)?) ([a-z]+)([^|>]*)", line)
        if found:
            assert (found[1], found[2]) in COMMANDS, line
            known = options(COMMANDS[found[1], found[2]]) | {"--help"}
            assert set(re.findall(r" (--[a-z][a-z-]*)", found[3])) <= known, line


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_options_and_variables_exist(page: Path) -> None:
    """Every option and every variable that a text names is there."""
    known = {"--help"}.union(*map(options, COMMANDS.values()))
    assert set(re.findall(r"`(--[a-z][a-z-]*)", prose(page))) <= known
    variables = {f"KEMBAR_{name.upper()}" for name in Settings.model_fields} | {"KEMBAR_URL"}
    assert set(re.findall(r"KEMBAR_[A-Z_]+", page.read_text())) <= variables
