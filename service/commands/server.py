"""Runs an application on uvicorn: says where it listens, ends cleanly, and lets a failed start be told in one line."""

import errno
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import uvicorn
import uvloop
from starlette.applications import Starlette

from service.commands.exits import CannotGoOn, PortInUse


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the server tells and asks: the address once it serves, that a stop was asked for, whether it has to stop."""

    started: Callable[[str], None]
    stopping: Callable[[], None]
    must_stop: Callable[[], bool]


def listen(host: str, port: int) -> socket.socket:
    """
    Bind the address before anything is loaded; connections are accepted only once the application is up.

    Raises:
        PortInUse, CannotGoOn: with what to do about it.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise cannot_listen(host, port, exc) from exc
    return listener


def cannot_listen(host: str, port: int, exc: OSError) -> CannotGoOn:
    """The one line for an address that cannot be listened on."""
    if exc.errno == errno.EADDRINUSE:
        return PortInUse(f"port {port} of {host} is in use: stop what runs there, or choose another with --port")
    return CannotGoOn(f"cannot listen on {host}, port {port}: {exc.strerror}; choose others with --host and --port")


def run(app: Starlette, listener: socket.socket, stop_seconds: int, hooks: Hooks) -> None:
    """
    Serve until SIGINT, SIGTERM or `hooks.must_stop`.

    Accepted requests may then finish for `stop_seconds`; a second signal ends at once.
    What the application raises while it opens is raised here, as it is.
    """
    uvloop.run(_serve(app, listener, stop_seconds, hooks))


async def _serve(app: Starlette, listener: socket.socket, stop_seconds: int, hooks: Hooks) -> None:
    # The lifespan runs here, not in uvicorn, which would log a traceback and end the process itself.
    async with app.router.lifespan_context(app) as state:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=stop_seconds,
        )
        await _Server(config, state or {}, hooks).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, except that a stop on request is a success and not a death by signal."""

    def __init__(self, config: uvicorn.Config, state: Mapping[str, Any], hooks: Hooks) -> None:
        super().__init__(config)
        self._state = state
        self._hooks = hooks

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Hand the application's state to the requests, accept connections, and say so."""
        self.lifespan.state.update(self._state)
        for listener in sockets or ():
            try:
                await super().startup([listener])
            except OSError as exc:  # two processes may bind one port, but only one may listen there
                host, port = listener.getsockname()[:2]
                raise cannot_listen(host, port, exc) from exc
            self._hooks.started(address_of(listener))

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: is it time to stop?"""
        return await super().on_tick(counter) or self._hooks.must_stop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, at once where it is the second signal; uvicorn would raise it again after the end."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._hooks.stopping()


def address_of(listener: socket.socket) -> str:
    """The URL under which a browser on this machine finds a listening socket."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
