"""Builds the application: the only place that knows how its parts fit together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import cache
from http import HTTPMethod, HTTPStatus
from typing import NoReturn

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match

from index.index import Index
from index.upkeep import SetHealth
from service import openapi
from service.admission import Admission, BulkGate
from service.batcher import Workers
from service.bundle.bundle import Bundle, load_bundle
from service.catalogue import Catalogue
from service.cpu_budget import granted_threads
from service.encoding import PostingEncoder
from service.exchange import Exchanges
from service.matcher import Matcher
from service.metrics import Metrics
from service.readiness import readiness_of
from service.routes import bulk, health, matches, model, page, postings
from service.services import Services
from service.settings import Settings

DESCRIPTION = "Which postings in my catalogue show the same product as this one?"
Loader = Callable[[Settings, int], Bundle]


def create_app(settings: Settings) -> FastAPI:
    """The application; it opens bundle and index in its lifespan, and what they raise is raised there."""
    return build_app(settings, lambda settings, threads: load_bundle(settings.bundle, threads=threads))


def build_app(settings: Settings, load: Loader) -> FastAPI:
    """As `create_app`, with another way to come by a bundle."""
    admission = Admission(settings.upload_budget_mib * 1024 * 1024, settings.max_queued_ms)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Services]]:
        with ExitStack() as opened:
            services = await asyncio.to_thread(_open, settings, load, admission, opened)
            try:
                yield {"services": services}
            finally:
                admission.drain()
                await asyncio.to_thread(opened.close)

    app = FastAPI(
        title="Kembar",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.admission = admission
    app.add_middleware(Exchanges)
    app.add_exception_handler(HTTPException, _pass_on)
    routers = [part.router for part in (matches, postings, bulk, model, health, page)]
    for router in (*routers, page.docs_router) if settings.docs else routers:
        app.include_router(router)
    app.openapi = cache(lambda: openapi.document(app))  # type: ignore[method-assign]  # FastAPI's own way to change it
    return app


def _open(settings: Settings, load: Loader, admission: Admission, opened: ExitStack) -> Services:
    threads = settings.threads or granted_threads()
    bundle = load(settings, threads)
    index = Index.open(
        settings.data_dir,
        encoder_id=bundle.manifest.encoder_id,
        dimensions=bundle.dimensions,
        weights=bundle.decision.weights,
        accept_loss=settings.accept_loss,
    )
    opened.callback(index.close)
    metrics = Metrics()
    workers = admission.workers = Workers(threads, metrics)
    opened.callback(workers.close)
    encoder = PostingEncoder(
        bundle, workers, stored_side=settings.stored_picture_side, require_room=admission.require_room
    )
    matcher = Matcher(index, bundle.decision, bundle.fingerprint, workers)
    catalogue = Catalogue(index, encoder, admission.fail, metrics)
    services = Services(
        bundle, index, workers, encoder, catalogue, matcher, admission, BulkGate(), metrics, settings.data_dir
    )
    _watch(services)
    return services


def _watch(services: Services) -> None:
    """What the metrics say about the parts is read from them when somebody asks."""
    metrics, index, lanes = services.metrics, services.index, services.workers.lanes
    metrics.model(services.bundle.fingerprint, services.bundle.manifest.encoder_id)
    metrics.watch("kembar_index_postings", "Postings served.", "view_set", index.counts)
    metrics.watch_count("kembar_index_damaged", "Rows found damaged and not served.", index.quarantined)
    metrics.watch("kembar_queue_length", "Jobs waiting.", "lane", lambda: {lane.name: lane.waiting for lane in lanes})
    metrics.watch(
        "kembar_queue_age_seconds",
        "Of the oldest job waiting.",
        "lane",
        lambda: {one.name: one.oldest_s() for one in lanes},
    )
    metrics.watch(
        "kembar_queue_work_seconds",
        "Work of one core.",
        "lane",
        lambda: {one.name: one.work_ms() / 1e3 for one in lanes},
    )
    _watch_index(metrics, index)
    metrics.watch("kembar_ready", "1 where a check of /readyz is well.", "check", lambda: _well(services))


def _watch_index(metrics: Metrics, index: Index) -> None:
    def by_set(read: Callable[[SetHealth], float | None]) -> Callable[[], Mapping[str, float]]:
        def values() -> Mapping[str, float]:
            known = {name: read(one) for name, one in index.health().sets.items()}
            return {name: value for name, value in known.items() if value is not None}

        return values

    def upkeep() -> Mapping[str, float]:
        health = index.health()
        return {
            "built": health.builds_done,
            "build-failed": health.builds_failed,
            "building": health.building,
            "snapshot": health.snapshots_done,
            "snapshot-failed": health.snapshots_failed,
            "unverified": not health.verified,
        }

    metrics.watch("kembar_index_lists", "Of an inverted file; 0 where flat.", "view_set", by_set(lambda one: one.lists))
    metrics.watch("kembar_index_behind", "Changes after the snapshot.", "view_set", by_set(lambda one: one.rows_behind))
    age = by_set(lambda one: one.snapshot_age_s if one.lists else 0.0)  # a flat set needs none
    metrics.watch("kembar_index_snapshot_age_seconds", "Of the newest snapshot.", "view_set", age)
    metrics.watch("kembar_index_upkeep", "Background work: so often, or 1 where so now.", "work", upkeep)


def _well(services: Services) -> Mapping[str, float]:
    return {name: float(check.ok) for name, check in readiness_of(services).checks.items()}


def _pass_on(request: Request, exc: Exception) -> NoReturn:
    # What the router itself refuses is answered where everything else is.
    if isinstance(exc, HTTPException) and exc.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The router names the methods of one route alone, and several may share a path.
        scopes, routes = [{**request.scope, "method": method} for method in HTTPMethod], request.app.routes
        fits = [scope["method"] for scope in scopes if any(one.matches(scope)[0] is Match.FULL for one in routes)]
        exc.headers = {"Allow": ", ".join(fits)}
    raise exc
