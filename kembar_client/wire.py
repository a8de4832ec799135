"""How requests are written and answers are read."""

import base64
import json
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from httpx import Response
from pydantic import BaseModel, ValidationError

from kembar_client.answers import Problem
from kembar_client.errors import BadAnswer, Refused, refused

A = TypeVar("A", bound=BaseModel)
Form = Mapping[str, tuple[str | None, bytes]]


def answer(kind: type[A], also: Collection[int] = ()) -> Callable[[Response], A]:
    """How an answer of this kind is read; the statuses of `also` carry it as a success does."""

    def read(response: Response) -> A:
        if response.status_code not in also:
            check(response)
        return parsed(kind, response.content)

    return read


def parsed(kind: type[A], data: bytes) -> A:
    """A model out of its JSON; raises BadAnswer."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as exc:
        raise BadAnswer(f"expected a {kind.__name__}, got something else: {exc.error_count()} differences") from exc


def content(response: Response) -> bytes:
    """The bytes of a success; raises Refused."""
    check(response)
    return response.content


def check(response: Response) -> None:
    """Raises Refused where a response is no success."""
    if not response.is_success:
        raise refusal(response)


def refusal(response: Response) -> Refused:
    """The exception for a response that is no success."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        detail = "the answer carries no problem document: does the address lead to Kembar?"
        problem = Problem(title="Unexpected answer", status=response.status_code, detail=detail)
    return refused(problem, _retry_after_s(response.headers.get("retry-after")))


def present(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields that are not None, any mapping among them as a dict, pictures as base64."""
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def texts(fields: Mapping[str, object]) -> dict[str, str]:
    """The fields that are not None as a query or a form has them."""
    given = present(fields)
    return {name: json_text(value) if isinstance(value, (dict, list)) else str(value) for name, value in given.items()}


def form(image: bytes | None, fields: Mapping[str, object]) -> Form:
    """The same as parts of a form, with a picture where there is one."""
    # What is no Unicode goes as it is, for the service to refuse.
    parts: Form = {name: (None, text.encode(errors="surrogatepass")) for name, text in texts(fields).items()}
    return parts if image is None else {"image": ("image", image), **parts}


def json_text(value: object) -> str:
    """Compact JSON, in ASCII."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return dict(value) if isinstance(value, Mapping) else value


def _retry_after_s(value: str | None) -> float | None:
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
