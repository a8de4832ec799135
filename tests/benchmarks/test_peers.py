"""What `benchmarks.peers` decides and counts, against loops and cases made by hand; no peer is needed."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.code_lines import count_code
from benchmarks.peers.storefront_threshold import DEPTH, THRESHOLDS, WEIGHTS, choose, combine, mean_f1
from benchmarks.peers.syncs import count_syncs
from benchmarks.peers.trial import TOLERANCE, K, measure_recall


def test_the_glue_gets_the_best_weight_and_threshold() -> None:
    """No pair of the grids has a better mean F1 than the chosen one, by loops over every query and row."""
    random = np.random.default_rng(5)
    pairs = [[random.standard_normal((count, 4)).astype(np.float32) for _ in range(2)] for count in (6, 20)]
    queries, rows = (tuple(part / np.linalg.norm(part, axis=1, keepdims=True) for part in pair) for pair in pairs)
    queries[1][0] = rows[0][3] = 0  # a query without title, a row without picture
    asked, stored = np.array(list("aabbcd")), np.array(list("abc") * 6 + ["x", "y"])

    def reached(weight: float, threshold: float) -> float:
        f1s = []
        for query in range(len(asked)):
            a = combine(queries[0][query : query + 1], queries[1][query : query + 1], weight)[0]
            answers = hits = 0
            for row in range(len(stored)):
                near = a @ combine(rows[0][row : row + 1], rows[1][row : row + 1], weight)[0] >= threshold
                answers, hits = answers + near, hits + (near and asked[query] == stored[row])
            f1s.append(2 * (1 + hits) / (2 + answers + (stored == asked[query]).sum()))
        return float(np.mean(f1s))

    assert len(stored) < DEPTH
    best = reached(*choose(queries, asked, rows, stored))
    others = [reached(weight, threshold) for weight in WEIGHTS.tolist() for threshold in THRESHOLDS[::20].tolist()]
    assert best >= max(others) > min(others)


def test_mean_f1_counts_the_query_itself() -> None:
    """One of two partners beside a stranger; silence about one that is alone; a stranger answered for another."""
    answers, hits, partners = np.array([2, 0, 1]), np.array([1, 0, 0]), np.array([2, 0, 0])
    assert mean_f1(answers, hits, partners) == pytest.approx((2 * 2 / (3 + 3) + 1 + 2 / (2 + 1)) / 3)


def test_recall_counts_what_is_as_near_as_the_tenth_once() -> None:
    """A neighbour as near as the true last one counts, one further off or found twice does not."""
    rows = np.linspace(1, 0, 21, dtype=np.float32)[:, None]
    floors = np.full(2, rows[K - 1, 0] + TOLERANCE / 2)
    found = [list(range(K)), [0, 0, *range(1, K - 1), K]]
    assert measure_recall(rows, np.ones((2, 1), dtype=np.float32), floors, found) == (K + K - 1) / (2 * K)


def test_code_is_neither_blank_nor_comment_nor_docstring(tmp_path: Path) -> None:
    """A statement over two lines counts two, a string that is assigned counts too."""
    file = tmp_path / "glue.py"
    file.write_text(
        '"""One.\n\nTwo."""\n\n# why\nx = [\n    1]\n\n\ndef f():\n    """It."""\n    return """a\nb"""  # c\n'
    )
    assert count_code(file) == 5


def test_forced_writes_are_counted_once_each(tmp_path: Path) -> None:
    """A call that another thread interrupted has two lines; without a log nobody knows."""
    log = tmp_path / "log"
    assert count_syncs(log) is None
    log.write_text("7 fsync(3) = 0\n8 fdatasync(4 <unfinished ...>\n7 +++ exited +++\n8 <... fdatasync resumed>) = 0\n")
    assert count_syncs(log) == 2
