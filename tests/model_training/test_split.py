"""The split against a slow search for ties."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model_training.split import FOLDS, find_components, split_components

KEYS = st.lists(st.tuples(st.integers(0, 12), st.integers(100, 112)), min_size=1, max_size=40)


@given(KEYS)
def test_components_are_what_flooding_finds(keys: list[tuple[int, int]]) -> None:
    """Two postings are in one super-component exactly when a chain of shared keys leads from one to the other."""
    components = find_components(keys)
    for start in range(len(keys)):
        reached, frontier = {start}, [start]
        while frontier:
            here = frontier.pop()
            for other in range(len(keys)):
                if other not in reached and set(keys[here]) & set(keys[other]):
                    reached.add(other)
                    frontier.append(other)
        assert set(np.flatnonzero(components == components[start]).tolist()) == reached


def test_split_keeps_components_whole_and_shares_close() -> None:
    """Every posting lands in exactly one part, no component in two, and the parts are 3:1:1 within one component."""
    rng = np.random.default_rng(5)
    components = np.sort(rng.integers(0, 300, 2000))
    components = np.unique(components, return_inverse=True)[1]
    split = split_components(components, seed=1)
    parts = [split.train, split.validation, split.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(2000))
    owners = [set(components[part].tolist()) for part in parts]
    assert len(set.union(*owners)) == sum(map(len, owners))
    largest = np.bincount(components).max()
    for part, share in zip(parts, (3, 1, 1), strict=True):
        assert abs(len(part) - 2000 * share / 5) <= share * largest


def test_folds_test_every_posting_once() -> None:
    """Over the five folds each posting is in the test part once and in the validation part once, and never in both."""
    components = np.sort(np.random.default_rng(6).integers(0, 80, 400))
    splits = [split_components(components, seed=3, fold=fold) for fold in range(FOLDS)]
    for parts in ([split.test for split in splits], [split.validation for split in splits]):
        assert sorted(np.concatenate(parts).tolist()) == list(range(400))
    assert not any(np.isin(split.test, split.fitted).any() for split in splits)


def test_split_depends_on_the_seed_alone() -> None:
    """One seed gives one split; another seed another."""
    components = np.arange(200)
    first, again, other = (split_components(components, seed=seed).train.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other
