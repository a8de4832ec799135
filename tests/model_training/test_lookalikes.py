"""Batches of products that look alike."""

import numpy as np

from model_training.lookalikes import Lookalikes


def test_batches_hold_products_with_their_nearest() -> None:
    """Of forty products on a circle a batch holds neighbours, rows of their own, labels and components to match."""
    angles = np.repeat(np.linspace(0, 2 * np.pi, 40, endpoint=False), 3)
    start = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    groups = np.repeat(np.random.default_rng(0).permutation(40) + 100, 3)
    position = {int(group): place for place, group in enumerate(groups[::3])}
    lookalikes = Lookalikes(np.arange(120), groups, groups // 2, start, seeds=1, each=2)
    for draw in range(50):
        batch = lookalikes.draw(np.random.default_rng(draw))
        assert batch.groups.tolist() == groups[batch.rows].tolist()
        assert batch.components.tolist() == (groups[batch.rows] // 2).tolist()
        assert len(set(batch.rows.tolist())) == len(batch.rows) == 2 * len(set(batch.groups.tolist()))
        places = [position[group] for group in batch.groups.tolist()]
        apart = np.array([[min((a - b) % 40, (b - a) % 40) for a in places] for b in places])
        assert apart.max(1).min() <= 6  # one of them, the seed, has all others among its twelve nearest


def test_an_epoch_shows_every_row_once_on_average() -> None:
    """Repeated rows count once; where a product has too few, a batch repeats them."""
    rows, groups = np.array([7, 7, 8, 9, 9, 9, 5, 6]), np.array([0, 0, 0, 1, 1, 1, 2, 3])
    lookalikes = Lookalikes(rows, groups, groups, np.eye(8, 4, dtype=np.float32) + 0.1, seeds=4, each=2)
    assert lookalikes.steps(32) == 32  # five rows are less than one batch, and a batch is the least
    batch = lookalikes.draw(np.random.default_rng(0))
    drawn = {group: batch.rows[batch.groups.numpy() == group].tolist() for group in (0, 1, 2, 3)}
    assert sorted(drawn[0]) == [7, 8]
    assert (drawn[1], drawn[2], drawn[3]) == ([9, 9], [5, 5], [6, 6])
    many = Lookalikes(
        np.arange(640), np.arange(640) // 2, np.arange(640), np.eye(640, 8, dtype=np.float32) + 0.1, seeds=8, each=2
    )
    assert many.steps(3) == 3 * 640 // (8 * 4 * 2)


def test_what_stands_alone_is_no_seed() -> None:
    """Of one pair among sixty single postings, every batch shows the pair: the others come as its lookalikes alone."""
    groups = np.array([0, 0, *range(1, 61)])
    start = np.random.default_rng(2).normal(size=(62, 16)).astype(np.float32)
    lookalikes = Lookalikes(np.arange(62), groups, groups, start, seeds=4, each=2)
    for draw in range(30):
        batch = lookalikes.draw(np.random.default_rng(draw))
        assert 0 in batch.groups.tolist()
        assert len(set(batch.groups.tolist())) <= 4
