"""What runs while the app is up; `service.app` builds it, the routes take it from their request."""

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from index.index import Index
from service.admission import Admission, BulkGate
from service.batcher import Workers
from service.bundle.bundle import Bundle
from service.catalogue import Catalogue
from service.encoding import PostingEncoder
from service.matcher import Matcher
from service.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running app."""

    bundle: Bundle
    index: Index
    workers: Workers
    encoder: PostingEncoder
    catalogue: Catalogue
    matcher: Matcher
    admission: Admission
    bulk_gate: BulkGate
    metrics: Metrics
    data_dir: Path


def services_of(request: Request) -> Services:
    """The parts that a route works with."""
    services: Services = request.state.services
    return services
