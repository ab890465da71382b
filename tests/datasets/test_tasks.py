"""Made tasks: that they hold what they say."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from scipy.stats import kstest

from skmeta.datasets import make_few_shot_tasks, make_sinusoid_tasks


def test_sinusoids_are_sines():
    made = make_sinusoid_tasks(400, 10, random_state=0)
    assert made.X.shape == (4000, 1) and made.y.shape == (4000,)
    assert_array_equal(np.bincount(made.task), np.full(400, 10))
    a, phase = made.amplitude[made.task], made.phase[made.task]
    assert_allclose(made.y, a * np.sin(made.X[:, 0] - phase), atol=1e-14)
    for drawn, low, high in (
        (made.amplitude, 0.1, 5),
        (made.phase, 0, np.pi),
        (made.X[:, 0], -5, 5),
    ):
        assert kstest(drawn, "uniform", (low, high - low)).pvalue > 1e-3


def test_classes_differ_along_the_directions_alone():
    made = make_few_shot_tasks(30, 400, n_features=12, random_state=0)
    V = made.directions
    assert_allclose(V.T @ V, np.eye(5), atol=1e-12)
    assert_allclose(made.means @ V @ V.T, made.means, atol=1e-12)
    deviations = made.X - made.means[made.y]
    found = deviations.T @ deviations / len(deviations)
    assert_allclose(found, made.within, atol=0.2)
    assert_array_equal(np.bincount(made.y), np.full(30, 400))


def test_what_is_shared_is_worth_learning():
    """One row of each of five classes: raw distances, and those of the directions."""
    made = make_few_shot_tasks(100, 16, random_state=0)
    X = made.X.reshape(100, 16, -1)
    y = np.arange(5)
    accuracy = {"raw": [], "directions": []}
    for first in range(0, 100, 5):
        for name, turn in (("raw", np.eye(30)), ("directions", made.directions)):
            support, query = X[first : first + 5, 0], X[first : first + 5, 1:]
            rows = query.reshape(-1, 30) @ turn
            found = cdist(rows, support @ turn).argmin(axis=1)
            accuracy[name].append(np.mean(found == np.repeat(y, 15)))
    assert 0.2 < np.mean(accuracy["raw"]) < 0.5
    assert np.mean(accuracy["directions"]) > 0.7


def test_the_seed_is_all_there_is():
    for make in (make_sinusoid_tasks, make_few_shot_tasks):
        first, again, other = (make(10, 6, random_state=s) for s in (0, 0, 1))
        assert_array_equal(first.X, again.X)
        assert not np.array_equal(first.X, other.X)


@pytest.mark.parametrize(
    ("call", "name", "least", "given"),
    [
        (lambda: make_sinusoid_tasks(0), "n_tasks", 1, "0"),
        (lambda: make_sinusoid_tasks(3, 1.5), "n_per_task", 1, "1.5"),
        (lambda: make_few_shot_tasks(True), "n_classes", 1, "True"),
        (lambda: make_few_shot_tasks(n_features=5), "n_features", 6, "5"),
    ],
)
def test_bad_counts(call, name, least, given):
    expected = f"{name} must be an integer of at least {least}; got {given}."
    with pytest.raises(ValueError, match=expected):
        call()
