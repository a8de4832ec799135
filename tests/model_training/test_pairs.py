"""What pairs are drawn."""

import itertools

import numpy as np

from model_training.pairs import sample_batches, sample_pairs

GROUPS = np.array([0, 0, 0, 1, 1, 2, 3, 3, 4, 4, 4, 4])
COMPONENTS = np.array([0, 0, 0, 1, 1, 1, 3, 3, 4, 4, 4, 4])  # groups 1 and 2 share a photograph


def test_pairs_are_right_and_counted() -> None:
    """Each posting of a group of two or more is once the left of a positive; negatives cross super-components."""
    counts = np.zeros(len(GROUPS), dtype=int)
    for seed in range(50):
        pairs = sample_pairs(GROUPS, COMPONENTS, num_neg=3, rng=np.random.default_rng(seed))
        positive, negative = pairs.same, ~pairs.same
        assert (GROUPS[pairs.left[positive]] == GROUPS[pairs.right[positive]]).all()
        assert (pairs.left[positive] != pairs.right[positive]).all()
        assert (COMPONENTS[pairs.left[negative]] != COMPONENTS[pairs.right[negative]]).all()
        assert sorted(pairs.left[positive].tolist()) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
        assert (np.bincount(pairs.left[negative], minlength=len(GROUPS)) <= 3).all()
        counts += np.bincount(pairs.right[positive], minlength=len(GROUPS))
    assert counts[5] == 0  # a singleton is nobody's partner
    assert (np.delete(counts, 5) > 0).all()


def test_pairs_repeat_with_the_seed() -> None:
    """One generator state gives one list of pairs."""
    first, again = (
        sample_pairs(GROUPS, COMPONENTS, num_neg=2, rng=np.random.default_rng([7, 3])).right.tolist() for _ in range(2)
    )
    assert first == again


def test_batches_hold_every_row_once_and_products_side_by_side() -> None:
    """An epoch is a permutation of the rows; hands of at most two of one product are dealt, whole ones where it has
    them, in another order for another seed."""
    epochs = []
    for seed in (1, 2):
        batches = list(sample_batches(GROUPS, together=2, size=5, rng=np.random.default_rng(seed)))
        epochs.append(np.concatenate(batches))
        assert [len(batch) for batch in batches] == [5, 5, 2]
        assert sorted(epochs[-1].tolist()) == list(range(12))
        pairs = [groups for groups in itertools.pairwise(GROUPS[epochs[-1]].tolist()) if groups[0] == groups[1]]
        assert sorted(set(pairs)) == [(0, 0), (1, 1), (3, 3), (4, 4)]
        assert len(pairs) >= 5
    assert epochs[0].tolist() != epochs[1].tolist()
