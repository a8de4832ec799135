"""`kembar match`: which stored postings show the product of this picture and title?"""

from pathlib import Path

import click

from kembar_client import Goal
from kembar_client.answers import Match, MatchAnswer
from service.commands.calling import goal_option, service_at, threshold_option, url_option
from service.commands.exits import CannotGoOn, printable
from service.commands.pictures import BadPicture, read_picture


@click.command()
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Picture file.")
@click.option("--title", help="Title of the posting.")
@goal_option
@threshold_option
@click.option("--limit", type=click.IntRange(1, 50), default=50, show_default=True, help="Most matches to show.")
@url_option
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
    Examples: kembar match --image hoodie.jpg --title "Chaz Kangeroo Hoodie"
              kembar match --title "Kopi susu 250 ml" --goal precision_99 --json
    Exit:     0 answered (also without a match), 2 usage, 3 no answer, 130 Ctrl-C
    """
    if image is None and title is None:
        raise click.UsageError("Give --image, --title or both.")
    try:
        picture = read_picture(image) if image else None
    except BadPicture as exc:
        raise CannotGoOn(f"{image}: {exc}") from exc
    chosen = Goal(goal) if goal else None
    with service_at(url) as kembar:
        answer = kembar.match(image=picture, title=title, goal=chosen, threshold=threshold, limit=limit)
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
    why = f"score {nearest.score:.3f}, needed {nearest.threshold:.3f}"
    if nearest.variant_conflict:
        why = f"the titles contradict each other, {printable(', '.join(nearest.variant_conflict))}"
    return f"No match. Nearest is {printable(nearest.posting_id)}: {why}."


def _line(one: Match, width: int) -> str:
    posting_id, title = printable(one.posting_id), printable(one.title or "")
    return f"{one.probability:11.1%}  {one.score:5.3f}  {posting_id:{width}}  {title}".rstrip()
