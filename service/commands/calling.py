"""What the commands that call a running service share: where it is, what to ask, and what to say without an answer."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ConfigDict, TypeAdapter, ValidationError

from kembar_client import Goal, Kembar
from kembar_client.errors import BadAddress, KembarError, Unreachable
from kembar_client.requests import Call, Where
from service.commands.exits import CannotGoOn

url_option = click.option(
    "--url",
    default="http://127.0.0.1:8080",
    envvar="KEMBAR_URL",
    show_envvar=True,
    show_default=True,
    help="The service.",
)
_GOALS = click.Choice([goal.value for goal in Goal])
goal_option = click.option("--goal", type=_GOALS, help="Which learned threshold to use.")
threshold_option = click.option("--threshold", type=click.FloatRange(-1, 1), help="A fused score instead of a goal.")


_WHERE = TypeAdapter[Where](Where, config=ConfigDict(strict=True, allow_inf_nan=False))


def _where(_ctx: click.Context, _option: click.Parameter, text: str | None) -> Where | None:
    try:
        return None if text is None else _WHERE.validate_json(text)
    except ValidationError as exc:
        raise click.BadParameter(
            """expected a JSON object of strings, numbers, booleans and nulls, such as '{"category": "Home"}'"""
        ) from exc


filter_option = click.option(
    "--filter", "where", metavar="JSON", callback=_where, help="Only postings whose metadata have these values."
)


@contextmanager
def service_at(url: str, go_on: str = "") -> Iterator[Kembar]:
    """
    A client of the service at `url`; `go_on` is told to who has to do with a service that is not there any more.

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
        raise CannotGoOn(f"{exc}. Is the service running? Start it with `kembar serve`. {go_on}".strip()) from exc
    except KembarError as exc:
        raise CannotGoOn(f"{str(exc).rstrip('.')}. {go_on}" if go_on else str(exc)) from exc


def posting_count(kembar: Kembar, where: Where | None) -> int | None:
    """How many postings a progress bar has before it, as the service's metrics say; None where they cannot say."""
    if where:
        return None
    try:
        text = kembar.send(Call("GET", "/metrics", lambda response: response.text))
        families = [one for one in text_string_to_metric_families(text) if one.name == "kembar_index_postings"]
    except (KembarError, ValueError):
        return None
    return int(sum(sample.value for family in families for sample in family.samples)) or None
