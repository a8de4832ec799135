"""`kembar completion`: the script with which a shell completes commands and options."""

import os
from pathlib import PurePath

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument(
    "shell", type=click.Choice(["bash", "zsh", "fish"]), default=lambda: PurePath(os.environ.get("SHELL", "")).name
)
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """
    Print a script that completes commands with Tab, for the SHELL in use or another.

    `kembar` has to be on the PATH. To have it in every new shell, add one line to the shell's start file:

    \b
    bash:     echo 'eval "$(kembar completion bash)"' >> ~/.bashrc
    zsh:      echo 'eval "$(kembar completion zsh)"' >> ~/.zshrc
    fish:     echo 'kembar completion fish | source' >> ~/.config/fish/config.fish
    Exit:     0 printed, 2 usage
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo("# How to have this in every new shell: kembar completion --help")
    click.echo(kind(ctx.find_root().command, {}, "kembar", "_KEMBAR_COMPLETE").source())
