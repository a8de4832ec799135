"""Dockerfile, compose file and settings agree; `tests/container.sh` builds and runs them."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from service.app import create_app
from service.commands.main import COMMANDS
from service.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile and its words, on one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def last(name: str) -> str:
    return [rest for word, rest in instructions() if word == name][-1]


def image_settings() -> dict[str, str]:
    pairs = dict(pair.split("=", 1) for pair in shlex.split(last("ENV")))
    return {name: value for name, value in pairs.items() if name.startswith("KEMBAR_")}


def test_the_image_is_configured_by_settings_that_exist() -> None:
    """What Dockerfile and compose file set is known to the settings and valid; all interfaces are listened on."""
    compose = {name: value for name, value in SERVICES["kembar"]["environment"].items() if name.startswith("KEMBAR_")}
    given = {name.removeprefix("KEMBAR_").lower(): value for name, value in (image_settings() | compose).items()}
    assert set(given) <= set(Settings.model_fields)
    settings = Settings(**given)
    assert (settings.host, settings.data_dir, settings.bundle) == ("0.0.0.0", Path("/data"), Path("/bundle"))
    assert last("VOLUME") == "/data"
    assert ("COPY", "bundles/demo /bundle") in instructions()


def test_all_name_one_port() -> None:
    """Image, settings, compose file and Prometheus agree on the port; what is published is bound to this machine."""
    port = str(Settings.model_fields["port"].default)
    scraped = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())["scrape_configs"][0]
    assert (image_settings()["KEMBAR_PORT"], last("EXPOSE")) == (port, port)
    assert SERVICES["kembar"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert scraped["static_configs"] == [{"targets": [f"kembar:{port}"]}]
    assert all(published.startswith("127.0.0.1:") for one in SERVICES.values() for published in one["ports"])


def test_the_image_runs_as_nobody_and_ends_on_sigterm() -> None:
    """A numeric user, commands that no shell stands in front of, and a health check that asks a route of the app."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last("USER"))
    entry, command = json.loads(last("ENTRYPOINT")), json.loads(last("CMD"))
    assert entry[0] in PROJECT["scripts"]
    assert command[0] in COMMANDS
    assert last("STOPSIGNAL") == "SIGTERM"
    check = json.loads(last("HEALTHCHECK").partition(" CMD ")[2])
    assert check[:2] == ["python", "-c"]
    compile(check[2], "HEALTHCHECK", "exec")
    asked = re.search(r"'GET', '([^']+)'", check[2])
    assert asked is not None
    assert asked[1] in create_app(Settings()).openapi()["paths"]


def test_what_goes_into_the_image_is_pinned() -> None:
    """Base images have a tag, what is installed follows the pins, and no dependency of ours is taken out again."""
    stages = [rest.split() for word, rest in instructions() if word == "FROM"]
    named = {words[2] for words in stages if len(words) == 3}
    assert {words[0] for words in stages} - named == {"python:3.11-slim-bookworm"}
    steps = [rest for word, rest in instructions() if word == "RUN"]
    assert sum("pip " in step and " install " in step for step in steps) == 2
    assert all("--constraint service.txt" in step or "--no-deps" in step for step in steps if " install --no" in step)
    pinned = {re.split("==", line)[0].lower() for line in (ROOT / "constraints/service.txt").read_text().splitlines()}
    wanted = {re.split("[^a-z0-9-]", line.lower())[0] for line in PROJECT["dependencies"]}
    removed = next(step for step in steps if "uninstall" in step).partition("user-action=ignore")[2].partition("&&")[0]
    assert {name.lower() for name in removed.split()} <= pinned - wanted


def test_the_build_gets_what_it_needs_and_no_more() -> None:
    """`.dockerignore` lets through what the wheel and the COPY lines need, each of which exists."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    passed = {line[1:] for line in lines if line.startswith("!")}
    packages = {"service", "index", "kembar_client"}
    files = {"pyproject.toml", "constraints/service.txt", "bundles/demo", PROJECT["readme"], *PROJECT["license-files"]}
    assert (lines[1], passed) == ("*", packages | files)
    assert all((ROOT / name).exists() for name in passed)


def test_versions_are_exact_and_agree() -> None:
    """No image floats; ours carries the version of the package."""
    assert all(re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", one["image"]) for one in SERVICES.values())
    assert SERVICES["kembar"]["image"] == f"kembar:{PROJECT['version']}"
    assert last("ARG") == f"VERSION={PROJECT['version']}"


def test_compose_takes_away_what_a_service_does_not_need() -> None:
    """No capability, no new privilege, bounded memory; a read-only root, and time enough to stop."""
    for one in SERVICES.values():
        assert (one["cap_drop"], one["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        assert re.fullmatch(r"\d+[mg]", one["mem_limit"])
    assert (SERVICES["kembar"]["read_only"], SERVICES["kembar"]["tmpfs"]) == (True, ["/tmp"])
    assert int(SERVICES["kembar"]["stop_grace_period"].removesuffix("s")) > Settings().stop_seconds


def test_compose_mounts_what_exists() -> None:
    """Each mounted file or folder is in the repository, each named volume is declared, /data is one of them."""
    sources = [mount.split(":")[0] for one in SERVICES.values() for mount in one["volumes"]]
    assert {source for source in sources if not source.startswith("./")} == set(COMPOSE["volumes"])
    assert all((ROOT / source).exists() for source in sources if source.startswith("./"))
    assert "data:/data" in SERVICES["kembar"]["volumes"]


def test_compose_accepts_its_file() -> None:
    """The real parser of compose files finds nothing wrong."""
    if shutil.which("docker-compose") is None:
        pytest.skip("docker-compose is not installed")
    command = ["docker-compose", "--file", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
