"""Prometheus metrics, in a registry of the app's own. Labels are templates and classes, never an id."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from index.postings import Written
from service.problems import INTERNAL, PROBLEMS
from service.stages import spend

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SIZES = (1, 2, 4, 8, 16)
_MATCHES = (0, 1, 2, 5, 10, 20, 50)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


class Metrics:
    """What is counted while the app runs."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        labels = ["route", "method", "status_class"]
        self._requests = Counter("kembar_requests", "Requests answered.", labels, registry=registry)
        self._duration = Histogram(
            "kembar_request_seconds", "From head to end of answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        self._stage_seconds = Histogram(
            "kembar_stage_seconds", "Time in each stage.", ["stage"], buckets=_SECONDS, registry=registry
        )
        self.dropped = Counter("kembar_dropped", "Jobs that left a queue undone.", ["lane"], registry=registry)
        self.batch_sizes = Histogram("kembar_batch_size", "Run together.", ["lane"], buckets=_SIZES, registry=registry)
        self.problems = Counter("kembar_problems", "Problems answered.", ["type"], registry=registry)
        self.matches = Histogram("kembar_matches", "Matches per answer.", buckets=_MATCHES, registry=registry)
        self._writes = Counter("kembar_writes", "Writes acknowledged.", ["change"], registry=registry)
        ProcessCollector(registry=registry)
        # A series that appears with a one has not increased, as Prometheus sees it: an alert would miss that one.
        for kind in (*PROBLEMS.values(), INTERNAL):
            self.problems.labels(kind.slug)
        for change in ("created", "replaced", "unchanged", "deleted"):
            self._writes.labels(change)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request was answered."""
        known = method if method in _METHODS else "other"
        self._requests.labels(route, known, f"{status // 100}xx").inc()
        self._duration.labels(route).observe(seconds)

    def stage(self, name: str, seconds: float) -> None:
        """A request spent this time in a stage: for the histogram, and for its own `Server-Timing`."""
        self._stage_seconds.labels(name).observe(seconds)
        spend(name, seconds)

    def write(self, done: Written | bool) -> None:
        """A write was acknowledged: what it did, or of a delete whether the posting was there."""
        if isinstance(done, Written):
            change = "created" if done.created else "replaced" if done.changed else "unchanged"
        else:
            change = "deleted" if done else "unchanged"
        self._writes.labels(change).inc()

    def model(self, fingerprint: str, encoder_id: str) -> None:
        """What the service decides with."""
        names = {"fingerprint": fingerprint, "encoder_id": encoder_id}
        Info("kembar_model", "The bundle that is served.", registry=self._registry).info(names)

    def watch_count(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Register a gauge of one number that is read when the metrics are."""
        Gauge(name, text, registry=self._registry).set_function(read)

    def watch(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Register a gauge that is read when the metrics are."""
        self._registry.register(_Watched(name, text, label, read))

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)


class _Watched(Collector):
    def __init__(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._name, self._text, self._label, self._read = name, text, label, read

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label])
        for key, value in self._read().items():
            family.add_metric([key], value)
        return [family]
