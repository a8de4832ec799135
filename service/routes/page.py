"""Pages for people, which stand in no OpenAPI document: one to try Kembar, one to read and try its interface."""

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types"
)
# Swagger UI writes markup and styles itself, and carries its icons as data.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {"Referrer-Policy": "same-origin", "Cache-Control": "no-cache"}

router, docs_router = APIRouter(include_in_schema=False), APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """The page."""
    return _file(request, "index.html")


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def asset(request: Request, name: str) -> Response:
    """What the page consists of."""
    return _file(request, name)


@docs_router.api_route("/docs", methods=["GET", "HEAD"])
async def docs(request: Request) -> Response:
    """The interactive documentation, by Swagger UI as its package brings it: no outside host is asked."""
    return _file(request, "docs.html", DOCS_POLICY)


def _file(request: Request, name: str, policy: str = POLICY) -> Response:
    if name not in _contents():
        raise HTTPException(404)
    content = _contents()[name]
    headers = HEADERS | {"Content-Security-Policy": policy, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=TYPES[name.rpartition(".")[2]])


@cache
def _contents() -> dict[str, bytes]:
    # Read once and through their packages, wherever those are installed.
    folders = (files("service.page"), files("fastapi_swagger.resources"))
    found = (file for folder in folders for file in folder.iterdir() if file.name.rpartition(".")[2] in TYPES)
    return {file.name: file.read_bytes() for file in found}
