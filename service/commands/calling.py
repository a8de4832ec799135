"""What the commands that call a running service share: where it is, and what to say where it does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from kembar_client import Kembar
from kembar_client.errors import BadAddress, KembarError, Unreachable
from service.commands.exits import CannotGoOn

url_option = click.option(
    "--url",
    default="http://127.0.0.1:8080",
    envvar="KEMBAR_URL",
    show_envvar=True,
    show_default=True,
    help="The service.",
)


@contextmanager
def service_at(url: str) -> Iterator[Kembar]:
    """
    A client of the service at `url`.

    Raises:
        click.UsageError: the address is none.
        CannotGoOn: the service is not there, refuses or fails.
    """
    try:
        with Kembar(url) as kembar:
            yield kembar
    except BadAddress as exc:
        raise click.UsageError(str(exc)) from exc
    except Unreachable as exc:
        raise CannotGoOn(f"{exc}. Is the service running? Start it with `kembar serve`.") from exc
    except KembarError as exc:
        raise CannotGoOn(str(exc)) from exc
