"""The `kembar` command itself."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from service.commands.exits import Exit, stoppable
from service.commands.main import COMMANDS, main


def test_help_names_every_command() -> None:
    """-h lists each command with the sentence that its own help begins with, which says its exit codes."""
    runner = CliRunner()
    overview = runner.invoke(main, ["-h"]).stdout

    for name, (_, sentence) in COMMANDS.items():
        own = runner.invoke(main, [name, "-h"])
        assert re.search(rf"^  {name} +{re.escape(sentence)}$", overview, re.MULTILINE)
        assert " ".join(own.stdout.split("\n\n")[1].split()).startswith(sentence[:-1])
        assert re.search(r"Exit: +0 ", own.stdout)


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


def test_the_overview_imports_no_command() -> None:
    """`kembar --help` and the completion of a name load no command's module: both are there at once."""
    script = (
        "import sys; from click.testing import CliRunner; from service.commands.main import main;"
        "CliRunner().invoke(main, ['--help']);"
        "complete = {'_KEMBAR_COMPLETE': 'bash_complete', 'COMP_WORDS': 'kembar ma', 'COMP_CWORD': '1'};"
        "print(CliRunner().invoke(main, prog_name='kembar', env=complete).stdout.strip());"
        "print(sorted(name for name in sys.modules if name.startswith(('service.', 'kembar_client', 'httpx'))))"
    )

    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert printed.splitlines() == [
        "plain,match",
        "['service.commands', 'service.commands.exits', 'service.commands.main']",
    ]


def test_completion_in_bash(tmp_path: Path) -> None:
    """The printed script, sourced in bash, completes a command's name and its options."""
    kembar = tmp_path / "kembar"
    kembar.write_text(f"#!{sys.executable}\nfrom service.commands.main import main\nmain(prog_name='kembar')\n")
    kembar.chmod(0o755)
    script = """
        eval "$(kembar completion bash)"
        COMP_WORDS=(kembar ma) COMP_CWORD=1; _kembar_completion kembar; echo "${COMPREPLY[@]}"
        COMPREPLY=() COMP_WORDS=(kembar match --th) COMP_CWORD=2; _kembar_completion kembar; echo "${COMPREPLY[@]}"
    """
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(Path.cwd())}

    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("match\n--threshold\n", "")


def test_completion_for_the_shell_in_use() -> None:
    """Without a name the shell in use decides; one that cannot complete is wrong usage, with those that can."""
    zsh = CliRunner().invoke(main, ["completion"], env={"SHELL": "/usr/bin/zsh"})
    none = CliRunner().invoke(main, ["completion"], env={"SHELL": "/bin/dash"})

    assert zsh.stdout.splitlines()[1] == "#compdef kembar"
    assert none.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in none.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stops_leave_one_line(number: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C and SIGTERM end a command with their codes and one line that says how to go on; SIGTERM is as before."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop, stoppable("Half is kept."):
        signal.raise_signal(number)

    assert stop.value.code == code == Exit(code)
    assert capsys.readouterr().err == "Stopped. Half is kept.\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_in_any_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a command that has nothing of its own to say is one line and exit code 130, not a traceback."""

    @click.command()
    def waits() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "get_command", lambda *_: waits)
    result = CliRunner().invoke(main, ["match"])

    assert (result.exit_code, result.stderr) == (130, "Stopped.\n")
