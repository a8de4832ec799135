"""The service behind a real server, over real sockets."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import jpeg
from tests.service.forms import BOUNDARY, FORM

MIB = 1024 * 1024


@dataclass(frozen=True)
class Served:
    """A service in a process of its own."""

    process: subprocess.Popen[str]
    url: str

    def connect(self) -> socket.socket:
        """A bare connection."""
        host, port = self.url.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=10)


@contextmanager
def serving(directory: Path) -> Iterator[Served]:
    """A running service that logs to `log` in its directory; killed at the end, if it still runs."""
    command = [sys.executable, "-m", "tests.service.serve_fake", str(directory / "data")]
    with (
        (directory / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        yield Served(process, process.stdout.readline().strip())
        process.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One service for all that leaves it running."""
    with serving(Path(tmp_path_factory.mktemp("served"))) as found:
        yield found


def head(*headers: str) -> bytes:
    """The head of a match request."""
    lines = ["POST /v1/matches HTTP/1.1", "Host: test", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_of(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and JSON body of the answer, read to the end of the connection."""
    received = b"".join(iter(lambda: connection.recv(65_536), b""))
    start, _, body = received.partition(b"\r\n\r\n")
    return int(start.split()[1]), json.loads(body)


FORM_START = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'.encode()


def test_an_announced_giant_is_refused_unread(served: Served) -> None:
    """Row C24: 200 MB by Content-Length get their 413 before one byte of them is sent, readable, then the end."""
    with served.connect() as connection:
        connection.sendall(head(f"Content-Type: {FORM}", f"Content-Length: {200 * MIB}"))
        status, problem = answer_of(connection)
    assert (status, problem["type"]) == (413, "urn:kembar:problem:image-too-large")


def test_a_giant_of_unknown_length_is_refused_while_it_is_sent(served: Served) -> None:
    """Rows A5, C24: a client that goes on sending reads its 413, having sent little more than the limit."""
    sent = 0
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    with served.connect() as connection:
        connection.sendall(head(f"Content-Type: {FORM}", "Transfer-Encoding: chunked"))
        connection.sendall(b"%x\r\n%s\r\n" % (len(FORM_START), FORM_START))
        connection.settimeout(0.001)
        first = b""
        while not first:
            try:
                first = connection.recv(1)
            except TimeoutError:
                connection.settimeout(10)
                connection.sendall(chunk)
                connection.settimeout(0.001)
                sent += 65_536
        connection.settimeout(10)
        connection.sendall(chunk * 16)  # the refusal is out, and what follows does not reset it
        status, problem = answer_of(connection)
    assert (status, problem["type"]) == (413, "urn:kembar:problem:image-too-large")
    assert 10 * MIB <= sent < 12 * MIB


def test_a_client_that_reads_only_after_sending_gets_its_refusal(served: Served) -> None:
    """As most clients do: 12 MiB sent in full, then the answer is read, and it is the refusal."""
    answer = httpx.post(f"{served.url}/v1/matches", files={"image": ("a", bytes(12 * MIB))}, timeout=30)
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


def test_a_refusal_of_what_waits_to_be_asked_for(served: Served) -> None:
    """Row C14: with Expect: 100-continue a refused request gets its final status, and no 100 before or after."""
    with served.connect() as connection:
        connection.sendall(head("Content-Type: text/plain", "Content-Length: 100", "Expect: 100-continue"))
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert received.startswith(b"HTTP/1.1 415")
    assert b"100 Continue" not in received


def test_what_waits_to_be_asked_for_is_asked_for(served: Served) -> None:
    """curl's way with large bodies: 100 Continue, then the answer."""
    body = b'{"title": "mug"}'
    with served.connect() as connection:
        lines = ("Content-Type: application/json", f"Content-Length: {len(body)}", "Expect: 100-continue")
        connection.sendall(head(*lines, "Connection: close"))
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert answer_of(connection)[0] == 200


def title_runs(client: httpx.Client) -> tuple[float, float]:
    """How many titles were encoded so far, and in how many runs."""
    samples = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    items, runs = (samples.get(f'kembar_batch_size_{part}{{lane="title"}}', 0) for part in ("sum", "count"))
    return float(items), float(runs)


def test_requests_at_once_share_batches(served: Served) -> None:
    """While both workers are busy with a title, the others gather, and run together."""
    with httpx.Client(base_url=served.url, timeout=30) as client:
        items_before, runs_before = title_runs(client)
        titles = ["slow", "slow", *(f"mug {number}" for number in range(6))]
        calls = [
            threading.Thread(target=client.post, args=("/v1/matches",), kwargs={"json": {"title": title}})
            for title in titles
        ]
        for call in calls:
            call.start()
            time.sleep(0.05)
        for call in calls:
            call.join()
        items, runs = title_runs(client)
    assert items - items_before == len(titles)
    assert runs - runs_before < 5


def test_a_stop_loses_no_accepted_request(tmp_path: Path) -> None:
    """Row H10: on SIGTERM an accepted put is finished, nothing new is taken, the index is closed, exit 0."""
    answers: list[httpx.Response] = []

    def put(url: str) -> None:
        files = {"title": (None, "slow"), "image": ("a.jpg", jpeg(1))}
        answers.append(httpx.put(f"{url}/v1/postings/last", files=files, timeout=30))

    with serving(tmp_path) as stopped:
        thread = threading.Thread(target=put, args=(stopped.url,))
        thread.start()
        time.sleep(0.4)
        stopped.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{stopped.url}/readyz")
        thread.join()
        assert stopped.process.wait(timeout=20) == 0
    assert answers[0].status_code == 201
    assert {json.loads(line)["level"] for line in (tmp_path / "log").read_text().splitlines()} == {"info"}
    with serving(tmp_path) as again:
        assert httpx.get(f"{again.url}/v1/postings/last").json()["views"] == ["image", "title"]


NO_TORCH = """
import sys
from tests.service.fake_bundle import fake_bundle
from starlette.testclient import TestClient
from service.app import build_app, create_app
from service.commands.main import main
from service.settings import Settings
from pathlib import Path
import service.bundle.bundle

with TestClient(build_app(Settings(data_dir=Path(sys.argv[1])), lambda *_: fake_bundle())) as client:
    assert client.post("/v1/matches", json={"title": "mug"}).status_code == 200
print(sorted({"torch", "torchvision", "transformers", "model_training"} & set(sys.modules)))
"""


def test_serving_needs_no_torch(tmp_path: Path) -> None:
    """An interpreter that has served a request has loaded neither torch nor the training."""
    run = subprocess.run([sys.executable, "-c", NO_TORCH, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
