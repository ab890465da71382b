"""``CCAMapper(n_components="auto")``: the components that are more than chance."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import StandardScaler

from skmeta import CCAMapper, Views
from skmeta.datasets import make_paired_views
from skmeta.inspection import permutation_test_components


def count(*data, **options):
    mapper = CCAMapper("auto", random_state=0, **options).fit(*data)
    return mapper.correlations_.shape[0]


def test_five_planted_factors_give_five():
    """Nineteen times of twenty, as the level is .05."""
    found = [
        count(
            make_paired_views(
                1000, correlations=(0.9, 0.8, 0.7, 0.6, 0.5), random_state=seed
            ).views
        )
        for seed in range(20)
    ]
    assert min(found) == 5
    assert sum(k == 5 for k in found) >= 17


def test_it_is_the_count_of_the_permutation_test():
    views = make_paired_views(120, correlations=(0.8, 0.5, 0.4), random_state=3).views
    test = permutation_test_components(CCAMapper(), views, random_state=0)
    assert count(views) == max(1, (test.pvalues <= 0.05).sum())
    fixed = CCAMapper(count(views)).fit(views)
    auto = CCAMapper("auto", random_state=0).fit(views)
    assert_allclose(auto.transform(views), fixed.transform(views))


def test_every_form_of_views():
    made = make_paired_views(400, n_features=(6, 5), random_state=0).views
    X, Y = made["view0"], made["view1"]
    table = np.hstack([X, Y])
    columns = {"a": slice(0, 6), "b": slice(6, 11)}
    scaled = ColumnTransformer([(n, StandardScaler(), c) for n, c in columns.items()])
    assert count(made) == 2
    assert count(X, Y) == 2
    assert count(table, views=columns) == 2
    assert count(table, views=scaled) == 2
    gaps = X.copy()
    gaps[:50] = np.nan
    assert count(Views(a=gaps, b=Y)) == 2
    assert count(X.astype(np.float32), Y) == 2


def test_the_seed_is_all_there_is():
    views = make_paired_views(60, correlations=(0.5, 0.4), random_state=0).views
    found = {count(views) for _ in range(3)}
    assert len(found) == 1


def test_nothing_in_common_is_said():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(200, 5)), rng.normal(size=(200, 4))
    with pytest.warns(UserWarning, match=r"No component is more than chance \(p = 0"):
        assert count(X, Y) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert count(X, X[:, :3] + 0.1 * Y[:, :3]) == 3


def test_what_cannot_be_tested():
    made = make_paired_views(60, n_features=(40, 30), random_state=0).views
    with pytest.raises(ValueError, match="correlations of 1 hold by construction"):
        count(made)
    three = make_paired_views(60, n_features=(4, 3, 3), random_state=0).views
    with pytest.raises(ValueError, match="and there are 3: .* give a number"):
        count(three)
    X, Y = made["view0"][:, :3], made["view1"][:, :3]
    mapper = CCAMapper("auto")
    with pytest.raises(ValueError, match="takes no sample_weight"):
        mapper.fit(X, Y, sample_weight=np.ones(60))
    with pytest.raises(ValueError, match="not kept from piece to piece"):
        mapper.partial_fit(X, Y)
    with pytest.raises(ValueError, match="not kept from piece to piece"):
        mapper.fit(X, X + Y).merge(CCAMapper(1).fit(X, Y))
