"""`kembar serve`: the service, on one address, with one bundle and one data directory."""

import json
import sys
from collections.abc import Callable

import click
from pydantic import ValidationError

from index.errors import IndexFault
from service.admission import Admission
from service.app import create_app
from service.bundle.errors import BundleError
from service.commands.exits import CannotGoOn
from service.commands.server import Hooks, listen, run
from service.logs import configure_logs
from service.settings import Settings

# Encoders work outside of the interpreter and come back to it; by default they may wait 5 ms for it each time.
SWITCH_SECONDS = 0.0005


def _setting_options(command: Callable[..., None]) -> Callable[..., None]:
    """One option per setting, so that the two cannot part."""
    for name, field in reversed(Settings.model_fields.items()):
        words = name.replace("_", "-")
        flag = f"--{words}/--no-{words}" if field.annotation is bool else f"--{words}"
        text = f"{field.description}  [default: {field.default}]"
        add = click.option(flag, name, envvar=f"KEMBAR_{name.upper()}", show_envvar=True, default=None, help=text)
        command = add(command)
    return command


@click.command()
@_setting_options
@click.option("--json", "as_json", is_flag=True, help="Say as JSON where it listens, once it is ready.")
def serve(as_json: bool, **given: str | bool | None) -> None:
    """
    Start the service.

    \b
    Example:  kembar serve --port 8080 --data-dir data --bundle bundles/demo
    Stop:     Ctrl-C or SIGTERM; accepted requests are answered first
    Exit:     0 stopped, 1 the disk failed, 2 usage, 3 cannot start (the line says why), 4 port in use
    """
    try:
        settings = Settings.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as exc:
        faults = [f"--{str(fault['loc'][0]).replace('_', '-')}: {fault['msg']}" for fault in exc.errors()]
        raise click.UsageError("; ".join(faults)) from exc
    configure_logs(settings.log_level)
    sys.setswitchinterval(SWITCH_SECONDS)
    with listen(settings.host, settings.port) as listener:
        app = create_app(settings)
        admission: Admission = app.state.admission
        greet = _greet_as_json if as_json else _greet
        hooks = Hooks(greet, stopping=admission.drain, must_stop=lambda: admission.storage_failed)
        try:
            run(app, listener, settings.stop_seconds, hooks)
        except (BundleError, IndexFault) as exc:
            raise CannotGoOn(str(exc)) from exc
    if admission.storage_failed:
        raise click.ClickException("the disk failed under a write: look after the disk, then start again")


def _greet(address: str) -> None:
    click.echo(f"Kembar is ready at {address} (Ctrl-C stops it)")


def _greet_as_json(address: str) -> None:
    click.echo(json.dumps({"address": address}))
