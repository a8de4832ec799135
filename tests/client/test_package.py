"""The client as a distribution of its own, beside the one that holds it together with the service."""

import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "kembar_client"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """What `pip install ./kembar_client` installs, built without a network."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out], cwd=CLIENT, check=True)
    (built,) = out.iterdir()
    return zipfile.ZipFile(built)


def test_the_wheel_holds_the_client_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Every module is in the wheel, and the mark that it is typed; building leaves nothing behind."""
    modules = {f"kembar_client/{path.name}" for path in CLIENT.glob("*.py")}
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert packed == modules | {"kembar_client/py.typed"}
    assert {path.name for path in CLIENT.iterdir() if path.suffix != ".py"} - {"__pycache__"} == {
        "README.md",
        "py.typed",
        "pyproject.toml",
    }


def test_it_asks_for_httpx_and_pydantic_as_the_whole_does(wheel: zipfile.ZipFile) -> None:
    """Version, Python and the bounds of its two dependencies are those of the root package."""
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    metadata = Parser().parsestr(wheel.read(f"kembar_client-{whole['version']}.dist-info/METADATA").decode())

    def bounds(lines: list[str]) -> dict[str, SpecifierSet]:
        asked = map(Requirement, lines)
        return {one.name: one.specifier for one in asked if one.name in {"httpx", "pydantic"}}

    assert metadata["Requires-Python"] == whole["requires-python"]
    assert bounds(metadata.get_all("Requires-Dist")) == bounds(whole["dependencies"])
    assert len(metadata.get_all("Requires-Dist")) == 2
