"""make_paired_views: its population canonical correlations are the ones asked for.

They are held against an independent route: QR of the centred columns, then the
singular values of Q1ᵀ Q2.
"""

import itertools

import numpy as np
import pytest
from pytest import approx

from skmeta.datasets import make_paired_views
from skmeta.views import Views


def canonical_correlations(X, Y):
    """Sample canonical correlations, descending."""
    Q1, Q2 = (np.linalg.qr(A - A.mean(axis=0))[0] for A in (X, Y))
    return np.linalg.svd(Q1.T @ Q2, compute_uv=False)


@pytest.mark.parametrize("noise", [0.05, 0.5, 1.0, 5.0])
def test_two_views_have_the_correlations(noise):
    n = 40_000
    made = make_paired_views(n, noise=noise, random_state=0)
    sample = canonical_correlations(made.views["view0"], made.views["view1"])
    np.testing.assert_array_equal(made.correlations, [0.9, 0.7])
    # Four standard errors, (1 − ρ²) / √n; the zeros grow with columns: √(p/n) + √(q/n).
    error = np.abs(sample[:2] - made.correlations)
    assert np.all(error < 4 * (1 - made.correlations**2) / np.sqrt(n) + 1e-3)
    assert np.all(sample[2:] < np.sqrt(20 / n) + np.sqrt(30 / n) + 0.01)


@pytest.mark.parametrize("n_features", [(6, 8, 10), (3, 4, 5, 20)])
def test_each_pair_of_more_views_has_them(n_features):
    n, rho = 40_000, np.array([0.95, 0.6, 0.3])
    made = make_paired_views(n, n_features=n_features, correlations=rho, random_state=1)
    assert list(made.views.keys()) == [f"view{i}" for i in range(len(n_features))]
    assert tuple(v.shape[1] for v in made.views.values()) == n_features
    for a, b in itertools.combinations(made.views.values(), 2):
        sample = canonical_correlations(a, b)
        error = np.abs(sample[:3] - rho)
        assert np.all(error < 4 * (1 - rho**2) / np.sqrt(n) + 2e-3)
        assert np.all(sample[3:] < 0.04)


def test_without_noise_a_view_has_the_rank_of_its_factors():
    made = make_paired_views(500, noise=0, random_state=0)
    assert [np.linalg.matrix_rank(v) for v in made.views.values()] == [4, 4]
    sample = canonical_correlations(*(made.scores[k] for k in ("view0", "view1")))
    np.testing.assert_allclose(sample, [0.9, 0.7], atol=0.08)


def test_weights_give_the_scores():
    made = make_paired_views(300, noise=2.0, random_state=0)
    for name, view in made.views.items():
        np.testing.assert_allclose(view @ made.weights[name], made.scores[name])


def test_scores_are_made_of_the_shared_factors():
    n = 50_000
    made = make_paired_views(n, correlations=(0.81, 0.25), random_state=0)
    for scores in made.scores.values():
        np.testing.assert_allclose(np.cov(scores.T), np.eye(2), atol=0.03)
        with_shared = np.corrcoef(scores.T, made.shared.T)[:2, 2:]
        np.testing.assert_allclose(with_shared, np.diag([0.9, 0.5]), atol=0.03)


def test_leading_principal_components_are_private():
    made = make_paired_views(20_000, random_state=0)
    X = made.views["view0"]
    components = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[2]
    overlap = components @ made.weights["view0"]
    assert np.all(np.abs(overlap[:2]) < 0.05)
    np.testing.assert_allclose(np.linalg.norm(overlap[2:4], axis=0), 1, atol=0.01)


def test_more_noise_is_more_variance_away_from_the_scores():
    def variance(noise):
        X = make_paired_views(5_000, noise=noise, random_state=0).views["view0"]
        return X.var(axis=0).sum()

    # 2 shared factors of variance 1, 2 private ones of 4, noise in 18 directions.
    assert variance(0.0) == pytest.approx(10, rel=0.05)
    assert variance(2.0) == pytest.approx(10 + 18 * 4, rel=0.05)


def test_order_of_correlations_does_not_matter():
    a = make_paired_views(10, correlations=(0.5, 0.9, 0.7), random_state=0)
    b = make_paired_views(10, correlations=[0.9, 0.7, 0.5], random_state=0)
    np.testing.assert_array_equal(a.correlations, [0.9, 0.7, 0.5])
    np.testing.assert_array_equal(a.views["view1"], b.views["view1"])


def test_correlations_of_one_and_zero():
    made = make_paired_views(100, correlations=(1.0, 0.0), random_state=0)
    first, second = made.scores.values()
    np.testing.assert_array_equal(first[:, 0], second[:, 0])
    assert abs(np.corrcoef(first[:, 1], second[:, 1])[0, 1]) < 0.4


@pytest.mark.parametrize("n_features", [(2, 2), (2, 3), (3, 2, 40)])
def test_views_as_narrow_as_their_factors(n_features):
    made = make_paired_views(20_000, n_features=n_features, random_state=0)
    for a, b in itertools.combinations(made.views.values(), 2):
        sample = canonical_correlations(a, b)[:2]
        np.testing.assert_allclose(sample, [0.9, 0.7], atol=0.02)


def test_wide_views_are_cheap():
    made = make_paired_views(5, n_features=(20_000, 3), random_state=0)
    assert made.views["view0"].shape == (5, 20_000)


# ---- nonlinear -----------------------------------------------------------------------


def test_nonlinear_hides_all_of_it_from_linear_cca():
    bent = make_paired_views(40_000, nonlinear=True, random_state=0)
    np.testing.assert_array_equal(bent.correlations, [0.9, 0.7])
    assert canonical_correlations(*bent.views.values())[0] < 0.06


def test_squares_bring_it_back():
    bent = make_paired_views(40_000, nonlinear=True, random_state=0)
    first = bent.views["view0"] @ bent.weights["view0"]
    second = bent.views["view1"] @ bent.weights["view1"]
    for k, rho in enumerate(bent.correlations):
        assert abs(np.corrcoef(first[:, k], second[:, k])[0, 1]) < 0.02
        assert np.corrcoef(first[:, k] ** 2, second[:, k])[0, 1] == approx(
            rho, abs=0.02
        )
    np.testing.assert_allclose((first**2 - 1) / np.sqrt(2), bent.scores["view0"])
    np.testing.assert_allclose(second, bent.scores["view1"])
    for scores in bent.scores.values():
        np.testing.assert_allclose(scores.std(axis=0), 1, atol=0.03)


# ---- randomness ----------------------------------------------------------------------


def test_same_seed_same_rows():
    a, b = (make_paired_views(50, random_state=7) for _ in range(2))
    c = make_paired_views(50, random_state=8)
    d = make_paired_views(50, random_state=np.random.RandomState(7))
    for name, view in a.views.items():
        np.testing.assert_array_equal(view, b.views[name])
        np.testing.assert_array_equal(view, d.views[name])
        assert not np.any(view == c.views[name])


def test_global_random_state_is_untouched():
    before = np.random.get_state()  # noqa: NPY002
    make_paired_views(50, random_state=0)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_result_is_views():
    made = make_paired_views(np.int64(9), random_state=0)
    assert isinstance(made.views, Views)
    assert len(made.views[:4]) == 4
    assert all(view.dtype == np.float64 for view in made.views.values())


# ---- bad input -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_samples": 0}, "n_samples is 0, expected an integer of at least 1"),
        ({"n_samples": 2.0}, "n_samples is 2.0, expected"),
        ({"n_samples": True}, "n_samples is True, expected"),
        ({"n_features": 20}, "n_features is 20, expected two or more integers"),
        ({"n_features": (20,)}, r"n_features is \(20,\), expected two or more"),
        ({"n_features": (20, 0)}, r"n_features is \(20, 0\), expected"),
        ({"n_features": (20, 1.5)}, r"n_features is \(20, 1.5\), expected"),
        ({"correlations": ()}, r"correlations is \(\), expected one or more"),
        ({"correlations": 0.9}, "correlations is 0.9, expected one or more"),
        ({"correlations": (0.9, 1.1)}, r"is \(0.9, 1.1\), expected .* from 0 to 1"),
        ({"correlations": (-0.1,)}, "from 0 to 1"),
        ({"correlations": (np.nan,)}, "from 0 to 1"),
        ({"correlations": ("high",)}, "from 0 to 1"),
        (
            {"n_features": (5, 2), "correlations": (0.9, 0.8, 0.7)},
            "correlations has 3 entries, but view1 has 2 columns",
        ),
        ({"noise": -1}, "noise is -1, expected a finite number of at least 0"),
        ({"noise": np.inf}, "noise is inf, expected"),
        ({"noise": np.nan}, "noise is nan, expected"),
        ({"noise": "low"}, "noise is 'low', expected"),
        ({"nonlinear": "yes"}, "nonlinear is 'yes', expected a bool"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_paired_views(**{"n_samples": 10, "random_state": 0, **arguments})
