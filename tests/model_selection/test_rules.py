"""Choosing among candidates that were cross-validated."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skmeta import CCAMapper
from skmeta.datasets import make_paired_views
from skmeta.model_selection import fewest_components


def results(mean, std, counts, n_splits=5, name="param_n_components"):
    splits = {f"split{i}_test_score": np.asarray(mean) for i in range(n_splits)}
    return {
        name: counts,
        "mean_test_score": np.asarray(mean, float),
        "std_test_score": np.full(len(mean), std),
        **splits,
    }


@pytest.mark.parametrize(
    ("std", "expected"),
    [
        (0.0, 2),
        # The error of a mean over 5 folds is .75 of their deviation:
        # sqrt(5 / 4 * (1 / 5 + 1 / 4)).
        (0.1 / 0.7501, 2),
        (0.1 / 0.7499, 1),
        (0.2 / 0.7499, 0),
    ],
)
def test_the_fewest_within_one_standard_error(std, expected):
    given = results([0.8, 0.9, 1.0, 0.99], std, [1, 2, 3, 4])
    assert fewest_components(given) == expected


def test_of_the_fewest_the_best():
    given = results([0.85, 0.9, 0.95, 1.0], 1.0, [2, 2, 3, 3])
    assert fewest_components(given) == 1


def test_none_is_as_many_as_there_can_be():
    given = results([1.0, 0.99, 0.98], 1.0, [None, 7, 7])
    assert fewest_components(given) == 1


def test_scores_that_are_nan_are_passed_over():
    assert fewest_components(results([np.nan, 0.9, 1.0], 0.01, [1, 2, 3])) == 2


def test_one_fold_tells_nothing_of_the_error():
    assert fewest_components(results([0.1, 1.0], 0.0, [1, 2], n_splits=1)) == 0


def test_it_finds_the_parameter_of_a_step():
    views = make_paired_views(1000, random_state=1).views
    pipeline = make_pipeline(CCAMapper(views=None), PCA(1))
    pipeline.set_params(ccamapper__fusion="mean")
    search = GridSearchCV(
        pipeline,
        {"ccamapper__n_components": [1, 2, 3]},
        refit=fewest_components,
        scoring=lambda p, X, y=None: p[0].score(X),
    ).fit(views)
    assert search.best_params_ == {"ccamapper__n_components": 2}


@pytest.mark.parametrize("names", [[], ["param_n_components", "param_a__n_components"]])
def test_another_grid_is_refused(names):
    given = results([1.0, 2.0], 0.1, [1, 2], name="param_shrinkage")
    given.update(dict.fromkeys(names, [1, 2]))
    with pytest.raises(ValueError, match="one parameter n_components"):
        fewest_components(given)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"param_n_components": [1, np.ma.masked]}, "n_components is masked in one"),
        (
            {"param_n_components": [1, "auto"]},
            "n_components is 'auto' in one candidate",
        ),
        ({"mean_test_score": [np.nan, np.nan]}, "No candidate has a score"),
    ],
)
def test_what_cannot_be_compared(change, said):
    """Candidate 0 was taken where one had no number of components."""
    with pytest.raises(ValueError, match=said):
        fewest_components(results([1.0, 2.0], 0.0, [1, 2]) | change)


def test_one_score_is_needed():
    several = results([1.0, 2.0], 0.0, [1, 2])
    several["mean_test_a"] = several["mean_test_b"] = several.pop("mean_test_score")
    with pytest.raises(ValueError, match=r"has \['mean_test_a', 'mean_test_b'\]"):
        fewest_components(several)


def test_an_infinite_score_is_the_best():
    assert fewest_components(results([1.0, np.inf], np.nan, [1, 2])) == 1
