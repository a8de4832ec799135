"""The `kembar` command itself."""

import subprocess
import sys

from click.testing import CliRunner

from service.commands.main import COMMANDS, main


def test_help_names_every_command() -> None:
    """--help lists each command with a sentence, and each command explains itself."""
    runner = CliRunner()
    overview = runner.invoke(main, ["--help"]).stdout

    for name in COMMANDS:
        assert f"  {name} " in overview
        assert runner.invoke(main, [name, "--help"]).exit_code == 0


def test_unknown_command() -> None:
    """A command that does not exist is wrong usage."""
    assert CliRunner().invoke(main, ["sell"]).exit_code == 2


def test_client_commands_load_no_encoder() -> None:
    """`kembar match` and `kembar import` start without the libraries that only the service needs."""
    script = (
        "import sys; from click.testing import CliRunner; from service.commands.main import main;"
        "CliRunner().invoke(main, ['match', '--help']); CliRunner().invoke(main, ['import', '--help']);"
        "print(sorted({'onnxruntime', 'faiss', 'numpy', 'fastapi', 'apsw'} & set(sys.modules)))"
    )

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert loaded == "[]\n"
