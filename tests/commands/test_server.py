"""Running an application: where it listens, how it ends, and what a failed start leaves behind."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import httpx
import pytest

from service.commands.exits import CannotGoOn, PortInUse
from service.commands.server import address_of, listen

APP = """
import asyncio, sys
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from service.commands.server import Hooks, listen, run

@asynccontextmanager
async def lifespan(app):
    if "broken" in sys.argv:
        raise ValueError("the bundle is damaged")
    yield {"word": "hello"}
    print("closed", flush=True)

failed = []

async def answer(request):
    print("accepted", flush=True)
    failed.extend(request.query_params.getlist("fail"))
    await asyncio.sleep(float(request.query_params["s"]))
    return PlainTextResponse(request.state.word)

app = Starlette(routes=[Route("/", answer)], lifespan=lifespan)
hooks = Hooks(
    started=lambda address: print(address, flush=True),
    stopping=lambda: print("stopping", flush=True),
    must_stop=lambda: bool(failed),
)
try:
    run(app, listen("127.0.0.1", 0), stop_seconds=20, hooks=hooks)
except ValueError as exc:
    print("told:", exc)
    sys.exit(3)
"""


@contextmanager
def app(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", APP, *arguments], stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def asked(process: subprocess.Popen[str], **query: float) -> Iterator[list[str]]:
    """Ask for an answer that takes its time, and go on once the question has arrived."""
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    answers: list[str] = []

    def ask() -> None:
        try:
            answers.append(httpx.get(address, params=query, timeout=30).text)
        except httpx.RequestError as exc:
            answers.append(type(exc).__name__)

    thread = Thread(target=ask)
    thread.start()
    assert process.stdout.readline() == "accepted\n"
    yield answers
    thread.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_loses_no_accepted_request(number: signal.Signals) -> None:
    """On SIGTERM or SIGINT an accepted request is answered, the application is closed, and the exit code is 0."""
    with app() as process:
        with asked(process, s=0.5) as answers:
            process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert answers == ["hello"]
    assert (out, err, process.returncode) == ("stopping\nclosed\n", "", 0)


def test_a_second_signal_means_now() -> None:
    """A second signal does not wait for accepted requests, and still closes the application."""
    with app() as process:
        with asked(process, s=15) as answers:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=5)

    assert answers != ["hello"]
    assert (out, process.returncode) == ("stopping\nstopping\nclosed\n", 0)


def test_an_application_that_has_to_stop() -> None:
    """A fault after which the application must not go on ends it like a signal does: what was accepted is answered."""
    with app() as process:
        with asked(process, s=0.3, fail=1) as answers:
            pass
        out, _ = process.communicate(timeout=20)

    assert answers == ["hello"]
    assert (out, process.returncode) == ("closed\n", 0)


def test_a_failed_start_is_told_once() -> None:
    """What the application raises while it opens reaches the caller as it is, without a traceback on the way."""
    with app("broken") as process:
        out, err = process.communicate(timeout=20)

    assert (out, err, process.returncode) == ("told: the bundle is damaged\n", "", 3)


def test_a_port_in_use() -> None:
    """A port on which somebody listens is refused by its number, saying how to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"port {port} of 127\.0\.0\.1 is in use.*--port"):
            listen("127.0.0.1", port)


def test_an_address_of_somebody_else() -> None:
    """An address that this machine does not have is refused with the reason."""
    with pytest.raises(CannotGoOn, match=r"cannot listen on 192\.0\.2\.1.*--host"):
        listen("192.0.2.1", 0)


def test_the_address_can_be_opened() -> None:
    """The address told is one that a browser opens, also where every address is listened on."""
    with listen("0.0.0.0", 0) as everywhere:
        port = everywhere.getsockname()[1]
        assert address_of(everywhere) == f"http://127.0.0.1:{port}"
