"""Does the service take work?"""

import tempfile
from pathlib import Path

from service.answers import Check, Readiness
from service.jobs import Priority
from service.services import Services


def readiness_of(services: Services) -> Readiness:
    """Look at each part, with a small write to the disk; without it the service is "degraded": reads go on."""
    admission, index = services.admission, services.index
    faults = [f"{lane.name}: {lane.fault}" for lane in services.workers.lanes if lane.fault is not None]
    backlog, most = admission.backlog_ms(Priority.QUERY), admission.max_queued_ms
    checks = {
        "admission": Check(not admission.draining, "stopping" if admission.draining else "open"),
        "bundle": Check(True, f"{services.bundle.fingerprint}, golden examples encoded at the start"),
        "lanes": Check(not faults, "; ".join(faults) or "the last batches went well"),
        "index": Check(True, f"{index.count()} postings, {index.quarantined()} damaged and not served"),
        "queue": Check(backlog <= most, f"{backlog:.0f} ms of {most} ms waiting"),
        "disk": writable(services.data_dir) if index.fault is None else Check(False, str(index.fault)),
    }
    failed = {name for name, check in checks.items() if not check.ok}
    status = "not ready" if failed else "ready"
    if "admission" in failed:
        status = "draining"
    elif failed == {"disk"}:
        status = "degraded"
    return Readiness(not failed, status, checks)


def writable(directory: Path) -> Check:
    """Write a page to a file without a name."""
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as exc:
        return Check(False, f"cannot write: {exc.strerror}")
    return Check(True, "writable")
