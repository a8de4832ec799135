"""How many processors this process may use: what the cgroup grants, not what the host has."""

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def granted_threads(quota: Path = _QUOTA) -> int:
    """At least one; the quota of the control group (version 2) rounded down, or the processors of the affinity mask."""
    affinity = len(os.sched_getaffinity(0))
    try:
        limit, period = quota.read_text().split()
    except (OSError, ValueError):
        return affinity
    return affinity if limit == "max" else max(1, min(affinity, int(limit) // int(period)))
