"""The `kembar` command: one subcommand per module, imported when it is used."""

from importlib import import_module

import click

# A client command must not wait for the encoders' libraries to load.
COMMANDS = {
    "serve": "service.commands.serve:serve",
    "import": "service.commands.importing:import_",
    "match": "service.commands.match:match",
    "check": "service.commands.check:check",
}


class Commands(click.Group):
    """Finds a subcommand by its name in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="kembar")
def main() -> None:
    """Kembar finds the postings of your catalogue that show the same product."""
