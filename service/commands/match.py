"""`kembar match`: which stored postings show the product of this picture and title?"""

from pathlib import Path

import click

from kembar_client import Goal, Kembar
from kembar_client.answers import Match, MatchAnswer
from kembar_client.errors import BadAddress, KembarError, Unreachable
from service.commands.exits import CannotGoOn, printable


@click.command()
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Picture file.")
@click.option("--title", help="Title of the posting.")
@click.option("--goal", type=click.Choice([goal.value for goal in Goal]), help="Which learned threshold to use.")
@click.option("--threshold", type=click.FloatRange(-1, 1), help="A fused score instead of a goal.")
@click.option("--limit", type=click.IntRange(1, 50), default=50, show_default=True, help="Most matches to show.")
@click.option(
    "--url",
    default="http://127.0.0.1:8080",
    envvar="KEMBAR_URL",
    show_envvar=True,
    show_default=True,
    help="The service.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
def match(
    image: Path | None,
    title: str | None,
    goal: str | None,
    threshold: float | None,
    limit: int,
    url: str,
    as_json: bool,
) -> None:
    """
    Find the stored postings that show the same product, best first.

    \b
    Example:  kembar match --image hoodie.jpg --title "Chaz Kangeroo Hoodie"
    Exit:     0 answered (also without a match), 2 usage, 3 no answer
    """
    if image is None and title is None:
        raise click.UsageError("Give --image, --title or both.")
    try:
        data = None if image is None else image.read_bytes()
        with Kembar(url) as kembar:
            chosen = None if goal is None else Goal(goal)
            answer = kembar.match(image=data, title=title, goal=chosen, threshold=threshold, limit=limit)
    except BadAddress as exc:
        raise click.UsageError(str(exc)) from exc
    except Unreachable as exc:
        raise CannotGoOn(f"{exc}. Is the service running? Start it with `kembar serve`.") from exc
    except KembarError as exc:
        raise CannotGoOn(str(exc)) from exc
    click.echo(answer.model_dump_json(indent=2) if as_json else table(answer))


def table(answer: MatchAnswer) -> str:
    """The matches as lines for a person; without any, what came nearest."""
    if answer.matches:
        width = max(len("posting"), *(len(one.posting_id) for one in answer.matches))
        lines = [f"probability  score  {'posting':{width}}  title", *(_line(one, width) for one in answer.matches)]
        return "\n".join(lines)
    nearest = answer.best_rejected
    if nearest is None:
        return "No match, and nothing near."
    near = printable(nearest.posting_id)
    return f"No match. Nearest is {near}: score {nearest.score:.3f}, needed {nearest.threshold:.3f}."


def _line(one: Match, width: int) -> str:
    posting_id, title = printable(one.posting_id), printable(one.title or "")
    return f"{one.probability:11.1%}  {one.score:5.3f}  {posting_id:{width}}  {title}".rstrip()
