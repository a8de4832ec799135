"""The values by which the index decides how to search and when to work in the background; none is a setting."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """Measured by `benchmarks.million`; tests take a few dozen postings. See docs/decisions/0009."""

    ivf_from: int = 10_000  # postings of a view set; below half of it, it is flat again
    retrain_factor: float = 4.0  # grown or shrunk by so much since it was trained
    lists_per_root: float = 4.0  # times the square root of the postings: so many lists
    points_per_list: int = 40  # what a centroid is learned from
    rounds: int = 6  # of k-means
    questions: int = 2_048  # stored rows asked, to measure how many lists have to be probed
    near: int = 10_000  # near ones to measure that on; where fewer pass a floor, the next nearest too
    found: float = 0.9995  # of the near ones by all lists, so many must be found; 1 probes all lists
    snapshot_behind: int = 10_000  # changes that no snapshot has, when the next one is written; at a close a tenth
    snapshot_share: float = 0.05  # the same as a share of the set, if that is more
    process_from: int = 5_000  # smaller sets are built in this process, since another one takes longer to start
    pause_s: float = 1.0  # between looks at what there is to do
    retry_s: float = 60.0  # after a failure


TUNING = Tuning()
