"""Does the service take work?"""

import tempfile
from pathlib import Path

from service.answers import Check, Readiness
from service.services import Services


def readiness_of(services: Services) -> Readiness:
    """
    Look at each part. Blocks for a small write to the disk.

    A disk that takes no write leaves the service "degraded": reads and matches go on.
    """
    checks = {
        "admission": _admission(services),
        "bundle": Check(True, f"{services.bundle.fingerprint}, golden examples encoded at the start"),
        "lanes": _lanes(services),
        "index": _index(services),
        "queue": _queue(services),
        "disk": _disk(services),
    }
    failed = {name for name, check in checks.items() if not check.ok}
    if "admission" in failed:
        status = "draining"
    elif failed == {"disk"}:
        status = "degraded"
    else:
        status = "not ready" if failed else "ready"
    return Readiness(not failed, status, checks)


def _admission(services: Services) -> Check:
    if services.admission.draining:
        return Check(False, "stopping; accepted requests are being finished")
    return Check(True, "open")


def _lanes(services: Services) -> Check:
    faults = [f"{lane.name}: {lane.fault}" for lane in services.admission.lanes if lane.fault is not None]
    return Check(not faults, "; ".join(faults) or "the last batches went well")


def _index(services: Services) -> Check:
    damaged = services.index.quarantined()
    return Check(True, f"{services.index.count()} postings, {damaged} damaged and not served")


def _queue(services: Services) -> Check:
    backlog, most = services.admission.backlog_ms(), services.admission.max_queued_ms
    return Check(backlog <= most, f"{backlog:.0f} ms of {most} ms waiting")


def _disk(services: Services) -> Check:
    if (fault := services.index.fault) is not None:
        return Check(False, str(fault))
    return writable(services.data_dir)


def writable(directory: Path) -> Check:
    """Write a page to a file without a name."""
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as exc:
        return Check(False, f"cannot write: {exc.strerror}")
    return Check(True, "writable")
