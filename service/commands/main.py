"""The `kembar` command: one subcommand per module, imported when it is used."""

import os
import sys
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from service.commands.exits import Exit

# Where each is and what it does: the overview and the completion must not wait for the encoders' libraries to load.
COMMANDS = {
    "serve": ("service.commands.serve:serve", "Start the service."),
    "import": ("service.commands.importing:import_", "Import the postings of a CSV file into a running service."),
    "match": ("service.commands.match:match", "Find the stored postings that show the same product."),
    "pairs": ("service.commands.pairs:pairs", "Write every matched pair of stored postings as lines of JSON."),
    "export": ("service.commands.export:export", "Write all stored postings as lines of JSON."),
    "check": ("service.commands.check:check", "Verify a data directory and a bundle offline."),
    "reembed": ("service.commands.reembed:reembed", "Move the data of a stopped service to another bundle."),
    "completion": ("service.commands.completion:completion", "Print a script that completes commands with Tab."),
}


# Of the libraries under numpy and FAISS: their own threads go on spinning after each small product, on the cores that
# decoding and encoders need. Sixteen writers got 1.5 times as many postings in without (docs/decisions/0010).
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


class Commands(click.Group):
    """Finds a subcommand by its name in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        for variable in THREADS:
            os.environ.setdefault(variable, "1")
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, with nothing imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names that begin so, with nothing imported; options of `kembar` itself."""
        names = [CompletionItem(name, help=COMMANDS[name][1]) for name in COMMANDS if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:  # Any: as click has it
        """Run the subcommand; Ctrl-C in one that has nothing to say about it is no fault."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            sys.exit(Exit.INTERRUPTED)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all went well; 1 some rows are bad, or there are findings; 2 wrong usage; 3 cannot go on, "
    "and the line says why; 4 the port is in use; 130 Ctrl-C; 143 SIGTERM. The help of each command says more.",
)
@click.version_option(package_name="kembar")
def main() -> None:
    """Kembar finds the postings of your catalogue that show the same product."""
