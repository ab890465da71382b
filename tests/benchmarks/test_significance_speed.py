"""How fast the tests of components are: ratios taken in one run, on one thread.

``pytest tests/benchmarks/test_significance_speed.py`` prints one table in some six
minutes, with the shares of rejections and coverage that the user guide has, too. No
test fails for being slow.
"""

import warnings
from functools import partial

import numpy as np
import pytest

from skmeta import CCAMapper
from skmeta.core.bases import orthonormal_basis, standardised
from skmeta.core.bootstrap import ALIGNMENTS
from skmeta.core.power import found_correlations
from skmeta.core.significance import canonical_variables
from skmeta.inspection import (
    bootstrap_components,
    pairs_needed,
    permutation_test_components,
)
from skmeta.metrics import canonical_correlations

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cca_zoo.linear import CCA as ZooCCA
        from cca_zoo.model_selection import permutation_test_significance
except ImportError:
    ZooCCA = None

pytestmark = pytest.mark.usefixtures("one_thread")

N, P, Q = 2_000, 50, 50
N_PERMUTATIONS = 1_000

LEGEND = f"""\
One thread, numpy {np.__version__}, cca_zoo {"there" if ZooCCA else "not installed"}.
'/ ...': time over that of ...; 'x ...': times faster than ....
wanted: the goal, which fails no test."""


def paired_rows(n, p, q):
    """Views of noise but for two common factors."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((n, p)), rng.standard_normal((n, q))
    Y[:, :2] += X[:, :2]
    return X, Y


def literal(X, Y, n_permutations):
    """Step down as the formula has it: a CCA of what is left, at every step."""
    v = canonical_variables(
        *(orthonormal_basis(standardised(A.copy())[0]) for A in (X, Y))
    )
    rng = np.random.RandomState(0)
    null = np.empty((n_permutations, len(v.correlations)))
    for found in null:
        order = rng.permutation(len(X))
        for k in range(len(found)):
            bases = np.linalg.qr(v.left[:, k:])[0], np.linalg.qr(v.right[order, k:])[0]
            rho = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
            found[k] = -np.log1p(-(rho**2)).sum()
    return null


def products(X, Y, n_permutations):
    """The one matrix product of each permutation, of bases that are given."""
    rng = np.random.RandomState(0)
    turned = np.ascontiguousarray(X.T)
    return [turned @ Y[rng.permutation(len(Y))] for _ in range(n_permutations)]


def test_permutations(benchmark, race, table):
    X, Y = paired_rows(N, P, Q)
    ours = partial(
        permutation_test_components,
        CCAMapper(),
        X,
        Y,
        n_permutations=N_PERMUTATIONS,
        random_state=0,
    )
    few = 2  # of the literal formula, scaled up
    contestants = {
        "wilks": ours,
        "roy": partial(ours, statistic="roy"),
        "within 200 groups": partial(ours, groups=np.arange(N) // 10),
        "after 10 confounds": partial(ours, confounds=paired_rows(N, 10, 10)[0]),
        "literal formula": partial(literal, X, Y, few),
        "products": partial(products, X, Y, N_PERMUTATIONS),
    }
    fewer = {"roy": 1, "literal formula": 1}
    if ZooCCA is not None:
        contestants["cca_zoo"] = partial(
            permutation_test_significance,
            ZooCCA(n_components=P),
            [X, Y],
            n_permutations=N_PERMUTATIONS,
            random_state=0,
        )
        fewer["cca_zoo"] = 1
    race.run(benchmark, contestants, rounds=5, fewer=fewer)

    race.seconds["literal formula"] = [
        seconds * N_PERMUTATIONS / few for seconds in race.seconds["literal formula"]
    ]
    columns = {
        "/products": "products",
        "x literal": "literal formula",
        "x cca_zoo": "cca_zoo",
    }
    table.section(
        f"{N_PERMUTATIONS} permutations, {N} x {P} and {Q}, all {Q} steps", *columns
    )
    for name in contestants:
        beside = {
            column: race.best(other)
            for column, other in columns.items()
            if column[0] == "/" or name not in columns.values()
        }
        wanted = ">= 15 x cca_zoo" if name == "wilks" else ""
        table.add(name, race.best(name), beside, wanted=wanted)

    expected = canonical_correlations(X, Y)
    for name in ("wilks", "roy", "within 200 groups"):
        found = race.results[name]
        np.testing.assert_allclose(found.correlations, expected, atol=1e-10)
        assert (found.pvalues <= 0.05).sum() == 2
    null = race.results["literal formula"]
    np.testing.assert_allclose(race.results["wilks"].null[:few], null, rtol=1e-8)
    if ZooCCA is not None:
        zoo = race.results["cca_zoo"]
        np.testing.assert_allclose(zoo.correlations, expected, atol=1e-8)


def test_bootstrap_and_pairs(race, table):
    """Seconds of what else has many draws."""
    X, Y = paired_rows(N, P, Q)
    mapper = CCAMapper(5).fit(X, Y)
    race.time("bootstrap", partial(bootstrap_components, mapper, X, Y, random_state=0))
    race.time("fit", lambda: [CCAMapper(5).fit(X, Y) for _ in range(100)])
    table.section("1000 resamples", "/1000 fits")
    table.add(
        f"bootstrap, {N} x {P} and {Q}, 5 components",
        race.best("bootstrap"),
        {"/1000 fits": 10 * race.best("fit")},
    )
    table.section("pairs_needed, 500 draws for each number of rows")
    for p, q in ((10, 8), (50, 50)):
        name = f"correlations .5 and .3, {p} and {q} columns"
        race.time(name, partial(pairs_needed, [0.5, 0.3], p, q, random_state=0))
        needed = race.results[name]
        table.add(f"{name}: {needed.n_rows} rows", race.best(name), {})
    rho = np.array([0.5, 0.3])
    for p, q in ((50, 50), (200, 100), (512, 384)):
        name = f"one draw, {p} and {q} columns"
        rng = np.random.RandomState(0)
        race.time(name, partial(found_correlations, rho, 5_000, p, q, 10, rng))
        table.add(name, race.best(name) / 10, {})


# ---- shares --------------------------------------------------------------------------


def rejections(draw, n_draws=1_000):
    """Share of p-values at most .05 of each way to test what ``draw`` gives."""
    found = {}
    rng = np.random.RandomState(0)
    for seed in range(n_draws):
        for name, (X, Y, options) in draw(rng).items():
            test = permutation_test_components(
                CCAMapper(), X, Y, n_permutations=99, random_state=seed, **options
            )
            found.setdefault(name, []).append(test.pvalues[0] <= 0.05)
    return {name: np.mean(share) for name, share in found.items()}


def unrelated(rng):
    X, Y = rng.standard_normal((25, 4)), rng.standard_normal((25, 3))
    heavy = rng.standard_t(3, (25, 4)), rng.standard_t(3, (25, 3))
    return {"normal rows": (X, Y, {}), "t rows (3 degrees)": (*heavy, {})}


def confounded(rng):
    """30 rows; 12 confounds put into both views all that they have in common."""
    Z = rng.standard_normal((30, 12))
    X, Y = (
        Z @ rng.standard_normal((12, 3)) + rng.standard_normal((30, 3)) for _ in "XY"
    )
    design = np.column_stack([np.ones(30), Z])
    hat = design @ np.linalg.pinv(design)
    return {
        "confounds=": (X, Y, {"confounds": Z}),
        "naive residuals": (X - hat @ X, Y - hat @ Y, {}),
        "no confounds": (X, Y, {}),
    }


def grouped(rng):
    """8 groups of 5 rows, whose means agree between views; within, nothing does."""
    groups = np.repeat(np.arange(8), 5)
    shared = 2 * rng.standard_normal((8, 2))[groups]
    X, Y = (shared + rng.standard_normal((40, 2)) for _ in "XY")
    return {"groups=": (X, Y, {"groups": groups}), "no groups": (X, Y, {})}


def test_calibration(table):
    table.lines += ["", "share of p-values <= .05 in 1,000 draws of unrelated views"]
    for draw in (unrelated, confounded, grouped):
        for name, share in rejections(draw).items():
            table.note(f"{draw.__name__ + ':':<11} {name:<18} {share:.3f}")
            if name not in ("naive residuals", "no confounds", "no groups"):
                assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1_000)


def coverage(rho, align, target, n=150, n_draws=100):
    """Share of 95 % intervals with the truth inside: correlations and loadings."""
    rng, k = np.random.RandomState(0), len(rho)
    maps = [rng.standard_normal((d, d)) for d in (4, 3)]
    truth = np.vstack([A[:, :k] / np.linalg.norm(A, axis=1)[:, None] for A in maps])
    inside = []
    for seed in range(n_draws):
        s, t = rng.standard_normal((n, 4)), rng.standard_normal((n, 3))
        t[:, :k] = rho * s[:, :k] + np.sqrt(1 - rho**2) * t[:, :k]
        known = bootstrap_components(
            CCAMapper(k, shrinkage=0),
            s @ maps[0].T,
            t @ maps[1].T,
            n_resamples=200,
            align=align,
            random_state=seed,
        )
        estimate, low, high = (
            np.vstack([view[what] for view in known.loadings.values()])
            for what in ("estimate", "low", "high")
        )
        turned = truth @ ALIGNMENTS[target](truth, estimate)
        r = known.correlations
        of_loadings = np.mean((low <= turned) & (turned <= high))
        inside.append((np.mean((r.low <= rho) & (rho <= r.high)), of_loadings))
    return np.mean(inside, axis=0)


def test_coverage(table):
    table.lines += ["", "coverage of 95 % intervals: correlations, loadings"]
    for rho in ([0.8, 0.5], [0.7, 0.6]):
        for align, target in (
            ("order", "order"),
            ("procrustes", "order"),
            ("procrustes", "procrustes"),
        ):
            shares = coverage(np.array(rho), align, target)
            table.note(
                f"correlations {rho}, align={align!r}, truth by {target}: "
                f"{shares[0]:.2f} {shares[1]:.2f}"
            )
