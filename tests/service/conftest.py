"""An app per test, over the real index and, unless a test says otherwise, the fake encoders."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.app import build_app
from service.bundle.bundle import Bundle
from service.settings import Settings
from tests.service.fake_bundle import fake_bundle

StartApp = Callable[..., TestClient]


@dataclass(frozen=True)
class Shop:
    """A running service: how to call it, and the fake encoders behind it."""

    client: TestClient
    bundle: Bundle


@pytest.fixture
def bundle() -> Bundle:
    """The fake encoders of the test's app."""
    return fake_bundle()


@pytest.fixture
def start_app(tmp_path: Path, bundle: Bundle) -> Iterator[StartApp]:
    """Start the app with other settings than the default; whatever was started is stopped at the end."""
    started: list[TestClient] = []

    def start(**settings: object) -> TestClient:
        given = {"data_dir": tmp_path / "data", "threads": 2} | settings
        app = build_app(Settings(**given), lambda *_: bundle)
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        started.append(client)
        return client

    yield start
    for client in started:
        client.__exit__(None, None, None)


@pytest.fixture
def client(start_app: StartApp) -> TestClient:
    """A running app."""
    return start_app()


@pytest.fixture
def picture() -> Callable[[int], bytes]:
    """A JPEG per number; other numbers look different."""
    return jpeg


def jpeg(seed: int, side: int = 96) -> bytes:
    """Coloured squares, four by four, drawn by lot."""
    rng_bytes = bytes((seed * 31 + place * place * 17 + place * 101) % 256 for place in range(48))
    image = Image.frombytes("RGB", (4, 4), rng_bytes).resize((side, side), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
