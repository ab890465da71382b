"""`permutation_test_components`: its answers, its calibration, and bad input."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse, stats
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_linnerud
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from skmeta import CCAMapper, NeuralSharedSpaceMapper, Views
from skmeta.core.bases import orthonormal_basis, standardised
from skmeta.core.significance import (
    canonical_variables,
    permuted_statistics,
    step_down_pvalues,
    wilks_statistics,
    within_groups,
)
from skmeta.datasets import make_paired_views
from skmeta.inspection import permutation_test_components, wilks_test
from skmeta.metrics import canonical_correlations


def arrays(n=100, p=5, q=4, rho=(0.8, 0.6), seed=0):
    views = make_paired_views(
        n, n_features=(p, q), correlations=rho, random_state=seed
    ).views
    return views["view0"], views["view1"]


def run(X, Y, mapper=None, **options):
    options = {"n_permutations": 199, "random_state": 0} | options
    return permutation_test_components(mapper or CCAMapper(), X, Y, **options)


# ---- the answer ----------------------------------------------------------------------


def test_result_is_of_all_components():
    X, Y = arrays()
    test = run(X, Y)
    assert_allclose(test.correlations, canonical_correlations(X, Y), atol=1e-12)
    assert test.pvalues.shape == test.statistics.shape == (4,)
    assert test.null.shape == (199, 4)
    assert test.n_rows == 100
    assert_allclose(test.pvalues[:2], 1 / 200)
    assert (test.pvalues[2:] > 0.05).all()
    assert (np.diff(test.pvalues) >= 0).all()
    assert_allclose(
        test.statistics, -np.cumsum(np.log(1 - test.correlations[::-1] ** 2))[::-1]
    )


def test_pvalues_are_the_share_of_the_null():
    X, Y = arrays(rho=(0.4,))
    for statistic in ("wilks", "roy"):
        test = run(X, Y, statistic=statistic)
        share = (1 + (test.null >= test.statistics).sum(axis=0)) / 200
        assert_allclose(test.pvalues, np.maximum.accumulate(share))


def test_roy_is_the_largest_correlation_left():
    X, Y = arrays()
    test = run(X, Y, statistic="roy")
    assert_allclose(test.statistics, test.correlations, atol=1e-12)
    assert (test.pvalues <= 0.05).sum() == 2


def test_n_components_cuts_the_result_and_changes_none_of_it():
    X, Y = arrays()
    whole, two = run(X, Y), run(X, Y, CCAMapper(2))
    for key in ("pvalues", "correlations", "statistics"):
        assert_array_equal(two[key], whole[key][:2])
    assert_array_equal(two.null, whole.null[:, :2])


def test_the_same_for_every_form_of_input():
    X, Y = arrays()
    expected = run(X, Y)
    table = np.hstack([X, Y])
    columns = [f"c{i}" for i in range(9)]
    frame = pd.DataFrame(table, columns=columns)
    by_dict = CCAMapper(views={"X": slice(0, 5), "Y": slice(5, 9)})
    transformer = ColumnTransformer(
        [("X", StandardScaler(), columns[:5]), ("Y", "passthrough", columns[5:])]
    )
    forms = [
        (CCAMapper(), Views(X=X, Y=Y)),
        (by_dict, table),
        (CCAMapper(views=transformer), frame),
        (CCAMapper(views=transformer).fit(frame), frame),
        (CCAMapper(shrinkage=0.7, standardize=False), Views(X=X * 3 + 1, Y=Y - 2)),
    ]
    for mapper, rows in forms:
        found = run(rows, None, mapper)
        assert_allclose(found.correlations, expected.correlations, atol=1e-12)
        assert_array_equal(found.pvalues, expected.pvalues)


def test_a_fitted_mapper_is_read_as_it_was_fitted_and_stays_as_it_is():
    X, Y = arrays()
    mapper = CCAMapper(2).fit(X, Y)
    weights = mapper.weights_["X"].copy()
    assert_array_equal(run(X, Y, mapper).pvalues, run(X, Y, CCAMapper(2)).pvalues)
    assert_array_equal(mapper.weights_["X"], weights)
    unfitted = CCAMapper(2)
    run(X, Y, unfitted)
    assert not hasattr(unfitted, "correlations_")
    assert not hasattr(unfitted, "n_features_in_")


def test_random_state():
    X, Y = arrays(rho=(0.3,))
    state = check_random_state(None).get_state()[1].copy()
    assert_array_equal(run(X, Y).null, run(X, Y).null)
    assert (run(X, Y).null != run(X, Y, random_state=1).null).any()
    assert_array_equal(check_random_state(None).get_state()[1], state)  # the global


def test_near_normal_theory_on_normal_rows():
    X, Y = arrays(80, rho=(0.5, 0.2))
    test = run(X, Y, n_permutations=4000)
    normal = wilks_test(CCAMapper(shrinkage=0).fit(X, Y))
    expected = np.maximum.accumulate(normal.pvalues)
    assert_allclose(test.pvalues[1:], expected[1:], atol=0.03)


def test_rows_that_lack_a_view_are_left_out():
    X, Y = arrays()
    full = run(X[20:], Y[20:], groups=np.arange(80) // 4)
    X, Y = X.copy(), Y.copy()
    X[:10], Y[10:20] = np.nan, np.nan
    part = run(X, Y, groups=np.repeat(np.arange(25), 4))
    assert part.n_rows == 80
    assert_array_equal(part.null, full.null)


def test_units_constant_and_duplicate_columns_change_nothing():
    X, Y = arrays()
    expected = run(X, Y)
    more = np.column_stack([X * 1e-6 + 3, np.ones(100), X[:, 0]])
    found = run(more, Y * [1e-8, 1, 1e8, 1])
    assert_allclose(found.correlations, expected.correlations, atol=1e-9)
    assert_array_equal(found.pvalues, expected.pvalues)


def test_sparse_and_float32_views():
    rng = np.random.default_rng(0)
    X = sparse.random(80, 6, density=0.4, random_state=0, format="csr")
    Y = X.toarray()[:, :3] + rng.standard_normal((80, 3))
    found = run(X, Y)
    assert_array_equal(found.pvalues, run(X.toarray(), Y).pvalues)
    single = run(X.toarray().astype(np.float32), Y.astype(np.float32))
    assert_allclose(single.correlations, found.correlations, atol=1e-6)


def test_a_wide_view_is_reduced_by_its_transformer():
    rng = np.random.default_rng(0)
    X, Y = arrays(60)
    table = np.hstack([np.repeat(X, 20, axis=1) + rng.standard_normal((60, 100)), Y])
    views = ColumnTransformer(
        [("wide", PCA(5), slice(0, 100)), ("Y", "passthrough", slice(100, 104))]
    )
    test = run(table, None, CCAMapper(views=views))
    assert test.pvalues.shape == (4,)
    with pytest.raises(ValueError, match="ranks 59 and 4 in the 59 dimensions"):
        run(table, None, CCAMapper(views={"a": slice(0, 100), "b": slice(100, 104)}))


# ---- calibration ---------------------------------------------------------------------


def null_pvalues(draw, n_draws=1000, n_permutations=49):
    """First p-values, spread evenly between those of a discrete scale."""
    rng = np.random.RandomState(0)
    found = []
    for _ in range(n_draws):
        X, Y = draw(rng)
        bases = [orthonormal_basis(standardised(A)[0]) for A in (X, Y)]
        v = canonical_variables(*bases)
        permute = within_groups(None, rng)
        observed = -np.cumsum(np.log1p(-(v.correlations[::-1] ** 2)))[::-1]
        null = permuted_statistics(v, n_permutations, permute, wilks_statistics)
        found.append(step_down_pvalues(observed, null)[0])
    return np.array(found) - rng.random_sample(n_draws) / (n_permutations + 1)


@pytest.mark.parametrize("shape", ["normal", "heavy", "skewed"])
def test_pvalues_are_uniform_on_null_data(shape):
    draw = {
        "normal": lambda rng, size: rng.standard_normal(size),
        "heavy": lambda rng, size: rng.standard_t(3, size),
        "skewed": lambda rng, size: rng.exponential(size=size) ** 2,
    }[shape]
    found = null_pvalues(lambda rng: (draw(rng, (25, 4)), draw(rng, (25, 3))))
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_later_components_are_not_found_where_there_are_none():
    """One strong component: the second p-value stays above alpha 95 times of 100."""
    rejected = 0
    for seed in range(400):
        X, Y = arrays(40, 4, 3, rho=(0.9,), seed=seed)
        test = run(X, Y, n_permutations=99, random_state=seed)
        rejected += test.pvalues[1] <= 0.05
    assert rejected / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_power_on_planted_components():
    found = []
    for seed in range(100):
        X, Y = arrays(100, 6, 5, rho=(0.7, 0.55), seed=seed)
        test = run(X, Y, n_permutations=99, random_state=seed)
        found.append(int((test.pvalues <= 0.05).sum()))
    assert np.mean(np.array(found) >= 2) >= 0.9
    assert np.mean(np.array(found) > 2) <= 0.15


def confounded(rng, n=30, r=12):
    """Views that have nothing in common but what the confounds put into both."""
    Z = rng.standard_normal((n, r))
    X = Z @ rng.standard_normal((r, 3)) + rng.standard_normal((n, 3))
    Y = Z @ rng.standard_normal((r, 3)) + rng.standard_normal((n, 3))
    return X, Y, Z


def test_confounds_are_calibrated_where_naive_residuals_are_not():
    rng = np.random.RandomState(0)
    ours, naive, without = [], [], []
    for seed in range(300):
        X, Y, Z = confounded(rng)
        options = dict(n_permutations=99, random_state=seed)
        ours.append(run(X, Y, confounds=Z, **options).pvalues[0])
        without.append(run(X, Y, **options).pvalues[0])
        design = np.column_stack([np.ones(len(Z)), Z])
        hat = design @ np.linalg.pinv(design)
        naive.append(run(X - hat @ X, Y - hat @ Y, **options).pvalues[0])
    shares = [np.mean(np.array(p) <= 0.05) for p in (ours, naive, without)]
    assert shares[0] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert shares[1] > 0.3
    assert shares[2] > 0.8


def test_confounds_give_partial_correlations():
    X, Y, Z = confounded(np.random.RandomState(0), n=60, r=3)
    more = np.column_stack([Z, np.ones(60), Z[:, 0] * 2])  # of the same rank
    test = run(X, Y, confounds=more)
    design = np.column_stack([np.ones(60), Z])
    hat = design @ np.linalg.pinv(design)
    expected = canonical_correlations(X - hat @ X, Y - hat @ Y)
    assert_allclose(test.correlations, expected, atol=1e-10)
    assert test.n_rows == 60 - 4
    one = run(X, Y, confounds=Z[:, 0].tolist())
    assert one.n_rows == 58


def test_groups_are_calibrated_where_free_permutation_is_not():
    """Means of groups agree between views; within groups nothing is related."""
    rng = np.random.RandomState(0)
    groups = np.repeat(np.arange(8), 5)
    within, free = [], []
    for seed in range(200):
        shared = rng.standard_normal((8, 2))[groups]
        X, Y = (shared * 2 + rng.standard_normal((40, 2)) for _ in range(2))
        options = dict(n_permutations=99, random_state=seed)
        within.append(run(X, Y, groups=groups, **options).pvalues[0])
        free.append(run(X, Y, **options).pvalues[0])
    assert np.mean(np.array(within) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean(np.array(free) <= 0.05) > 0.9


def test_groups_of_text_and_one_group_for_all():
    X, Y = arrays()
    names = np.array(["a", "b"], dtype=object)[np.arange(100) % 2]
    assert (run(X, Y, groups=names).pvalues <= 0.05).sum() == 2
    assert (run(X, Y, groups=np.zeros(100)).pvalues <= 0.05).sum() == 2


# ---- bad input -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapper", "found"),
    [(3, "int"), (CCAMapper, "CCAMapper"), (NeuralSharedSpaceMapper(), "Neural")],
)
def test_what_is_no_linear_mapper(mapper, found):
    X, Y = arrays()
    with pytest.raises(TypeError, match=f"takes a CCAMapper.*got {found}"):
        permutation_test_components(mapper, X, Y)


@pytest.mark.parametrize("n", [0, -1, 1.5, True])
def test_number_of_permutations(n):
    with pytest.raises(ValueError, match="n_permutations must be an integer of at"):
        run(*arrays(), n_permutations=n)


def test_unknown_statistic_lists_the_known():
    with pytest.raises(ValueError, match=r"one of \['wilks', 'roy'\]; got 'pillai'"):
        run(*arrays(), statistic="pillai")


def test_one_view_and_three():
    X, Y = arrays()
    with pytest.raises(ValueError, match="requires y to be passed"):
        run(X, None)
    with pytest.raises(ValueError, match="'Y' is not there"):
        run(X, None, CCAMapper(2).fit(X, Y))
    with pytest.raises(ValueError, match=r"there are 3: \['a', 'b', 'c'\]"):
        run(Views(a=X, b=Y, c=X), None)


def test_fault_01_02_nan_and_infinity():
    X, Y = arrays()
    for value, said in ((np.nan, "NaN in part of a row"), (np.inf, "infinity")):
        bad = X.copy()
        bad[3, 1] = value
        with pytest.raises(ValueError, match=f"'X' contains {said}"):
            run(bad, Y)


def test_fault_04_row_counts_differ():
    X, Y = arrays()
    with pytest.raises(ValueError, match="X has 100 rows, but Y has 99"):
        run(X, Y[:99])


def test_fault_08_view_without_variance():
    X, Y = arrays()
    with pytest.raises(ValueError, match="View 'Y' has zero variance"):
        run(X, np.ones_like(Y))


def test_fault_10_correlations_of_one_by_construction():
    X, Y = arrays(9)
    with pytest.raises(ValueError, match="ranks 5 and 4 in the 8 dimensions"):
        run(X, Y)
    assert run(*arrays(10)).pvalues.shape == (4,)
    X, Y = arrays(15)
    Z = np.random.default_rng(0).standard_normal((15, 6))
    with pytest.raises(ValueError, match="ranks 5 and 4 in the 8 dimensions"):
        run(X, Y, confounds=Z)


def test_fault_26_more_components_than_columns():
    with pytest.raises(ValueError, match="n_components=5 is more than the 4 columns"):
        run(*arrays(), CCAMapper(5))


def test_views_that_are_the_same():
    X, Y = arrays()
    test = run(X, X)
    assert_allclose(test.pvalues, 1 / 200)
    assert np.isfinite(test.null).all()
    few = np.tile([[0.0], [1.0]], (4, 1))  # some permutations change nothing
    assert run(few, few).pvalues[0] > 1 / 200


def test_groups_that_cannot_be():
    X, Y = arrays()
    with pytest.raises(ValueError, match=r"groups has shape \(99,\), but X has 100"):
        run(X, Y, groups=np.zeros(99))
    with pytest.raises(ValueError, match="a group of its own"):
        run(X, Y, groups=np.arange(100))
    with pytest.raises(ValueError, match="no label for row 2"):
        run(X, Y, groups=[0.0, 1.0, np.nan] + [0.0] * 97)
    with pytest.raises(ValueError, match="do not go together"):
        run(X, Y, groups=np.zeros(100), confounds=X)


def test_confounds_that_cannot_be():
    X, Y = arrays()
    with pytest.raises(ValueError, match="confounds has 99 rows, but X has 100"):
        run(X, Y, confounds=X[:99])
    with pytest.raises(ValueError, match="confounds contains NaN"):
        run(X, Y, confounds=np.full(100, np.nan))
    with pytest.raises(ValueError, match="leave nothing of view 'X'"):
        run(X, Y, confounds=X)
    with pytest.raises(ValueError, match="leave nothing of view 'X'"):
        run(X, Y, confounds=np.random.default_rng(0).standard_normal((100, 99)))


def test_linnerud():
    test = run(*load_linnerud(return_X_y=True), n_permutations=999)
    assert_allclose(test.pvalues[0], 0.0635, atol=0.03)
    assert (test.pvalues[1:] > 0.5).all()


@pytest.mark.parametrize(
    "groups",
    [
        ["a", np.nan] * 50,
        pd.Series(["a", pd.NA] * 50, dtype="string"),
        pd.Series([1, None] * 50, dtype="Int64"),
        np.array(["2020-01-01", "NaT"] * 50, dtype="M8[D]"),
    ],
)
def test_groups_without_a_label(groups):
    with pytest.raises(ValueError, match="groups has no label for row 1"):
        run(*arrays(), groups=groups)


def test_groups_of_mixed_types():
    mixed = np.array([1, "b"] * 50, dtype=object)
    with pytest.raises(
        ValueError, match=r"types \['int', 'str'\], which have no order"
    ):
        run(*arrays(), groups=mixed)


@pytest.mark.parametrize("n_components", [-3, 0, 2.5, "many"])
def test_parameters_of_an_unfitted_mapper(n_components):
    """-3 was taken for all components but three."""
    with pytest.raises(ValueError, match="The 'n_components' parameter of CCAMapper"):
        run(*arrays(), CCAMapper(n_components))
