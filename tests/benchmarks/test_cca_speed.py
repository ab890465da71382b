"""How fast `CCAMapper` and exact search are: ratios taken in one run, on one thread.

``pytest tests/benchmarks/test_cca_speed.py`` prints one table; with
``SKMETA_FIGURES=docs/images`` it also draws the growth with rows, columns, components.
Repetitions of all contestants are interleaved and the fastest of each counts, so that
what else the machine does falls on all of them. Seconds are this machine's business;
the ratios are ours. What is asserted is that all contestants find the same: no test
here fails for being slow.

Run as a script with the name of a dtype, the file prints how much memory each
contestant takes beyond its input; the table has these figures too.
"""

import ctypes
import json
import os
import subprocess
import sys
import warnings
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from scipy.linalg import cholesky, eigh, solve_triangular, svd
from sklearn.cross_decomposition import CCA
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from skmeta import CCAMapper, CrossModalRetriever
from skmeta.core.distances import get_metric
from skmeta.core.retrieval import top_k

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cca_zoo.linear import CCA as ZooCCA
except ImportError:
    ZooCCA = None

# The wide size has more columns than rows: there all correlations are 1. scikit-learn's
# iterations do not always converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::skmeta.exceptions.CorrelationOneWarning"),
    pytest.mark.filterwarnings("ignore::skmeta.exceptions.RankWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

N_FACTORS = 4


class Size(NamedTuple):
    n: int
    p: int
    q: int
    k: int
    rounds: int


MEDIUM = Size(10_000, 200, 100, 20, rounds=7)
LARGE = Size(100_000, 512, 384, 64, rounds=3)
WIDE = Size(500, 5_000, 3_000, 20, rounds=5)


def paired_rows(rng, n, p, q):
    """Two float64 views whose first correlations stand out from the noise."""
    factors = rng.standard_normal((n, N_FACTORS))
    views = []
    for columns in (p, q):
        rows = rng.standard_normal((n, columns))
        rows += factors @ (rng.standard_normal((N_FACTORS, columns)) / 4)
        rows += rng.standard_normal(columns)
        views.append(rows)
    return views


# ---- contestants ---------------------------------------------------------------------


def gemms(X, Y):
    return X.T @ X, Y.T @ Y, X.T @ Y


def eigen_of_grams(X, Y):
    return eigh(X @ X.T), eigh(Y @ Y.T)


def mapper(X, Y, k, shrinkage):
    return CCAMapper(n_components=k, shrinkage=shrinkage).fit(X, Y)


def bare_cca(X, Y, k):
    """CCA as a textbook has it: unscaled, nothing checked. Weights of both views."""
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    xx, yy, xy = gemms(X, Y)
    left, right = cholesky(xx, lower=True), cholesky(yy, lower=True)
    half = solve_triangular(left, xy, lower=True)
    whitened = solve_triangular(right, half.T, lower=True).T
    U, _, Vt = svd(whitened, full_matrices=False)
    return (
        solve_triangular(left, U[:, :k], lower=True, trans="T"),
        solve_triangular(right, Vt[:k].T, lower=True, trans="T"),
    )


def sklearn_cca(X, Y, k):
    return CCA(n_components=k).fit(X, Y)


def zoo_cca(X, Y, k):
    return ZooCCA(n_components=k).fit([X, Y]).weights_


def correlations(first, second):
    """Correlation of each pair of columns, descending."""
    unit = []
    for Z in (first, second):
        Z = Z - Z.mean(axis=0)
        unit.append(Z / np.linalg.norm(Z, axis=0))
    return np.sort(np.abs(np.einsum("ij,ij->j", *unit)))[::-1]


def dual_correlations(X, Y, k, shrinkage):
    """Of shrunk CCA, through the eigenvectors of the n x n Gram matrices."""
    bases, shares = [], []
    for rows, c in zip((X, Y), shrinkage, strict=True):
        Z = (rows - rows.mean(axis=0)) / rows.std(axis=0)
        values, vectors = eigh(Z @ Z.T / len(Z))
        kept = values > values[-1] * 1e-12
        bases.append(vectors[:, kept])
        shares.append(np.sqrt(values[kept] / ((1 - c) * values[kept] + c)))
    U, _, Vt = svd(shares[0][:, None] * (bases[0].T @ bases[1]) * shares[1])
    return correlations(
        bases[0] @ (shares[0][:, None] * U[:, :k]),
        bases[1] @ (shares[1][:, None] * Vt[:k].T),
    )


LEGEND = f"""\
One thread, numpy {np.__version__}, cca_zoo {"there" if ZooCCA else "not installed"}.
'/ ...': time over that of ...; 'x ...': times faster than ...; f32: given float32.
MB: most memory at one time beyond the input. wanted: the goal, which fails no test."""


# ---- fit -----------------------------------------------------------------------------


def fit_contestants(views, k):
    """By name, for ``views`` = (X, Y) by dtype."""
    contestants = {}
    for dtype, (X, Y) in views.items():
        contestants |= {
            f"CCAMapper {dtype}, shrinkage 0": partial(mapper, X, Y, k, 0),
            f"CCAMapper {dtype}, shrinkage auto": partial(mapper, X, Y, k, "auto"),
            f"GEMMs {dtype}": partial(gemms, X, Y),
            f"bare CCA {dtype}": partial(bare_cca, X, Y, k),
        }
        if ZooCCA is not None:
            contestants[f"cca_zoo {dtype}"] = partial(zoo_cca, X, Y, k)
    return contestants


FIT_COLUMNS = {
    "/GEMMs": "GEMMs float64",
    "/f32 GEMMs": "GEMMs float32",
    "x bare": "bare CCA float64",
    "x f32 bare": "bare CCA float32",
    "x cca_zoo": "cca_zoo float64",
    "x f32 zoo": "cca_zoo float32",
    "x sklearn": "scikit-learn float64",
}


def tabulate_fit(table, race, names, wanted, memory=None):
    for name in names:
        ours = name.startswith("CCAMapper")
        beside = {
            column: race.best(other)
            for column, other in FIT_COLUMNS.items()
            # Input of float64 is no match for peers that were given half of it.
            if column[0] == "/" or (ours and ("f32" not in column or "float32" in name))
        }
        table.add(
            name,
            race.best(name),
            beside,
            memory=(memory or {}).get(name),
            wanted=wanted.get(name, ""),
        )


def check_fit(race, views, k):
    """All contestants find what the bare CCA finds."""
    X, Y = views["float64"]
    left, right = race.results["bare CCA float64"]
    expected = correlations(X @ left, Y @ right)
    for dtype, atol in [("float64", 1e-10), ("float32", 1e-6)]:
        found = race.results[f"CCAMapper {dtype}, shrinkage 0"].correlations_
        np.testing.assert_allclose(found, expected, atol=atol)
        auto = race.results[f"CCAMapper {dtype}, shrinkage auto"].correlations_
        np.testing.assert_allclose(auto[:N_FACTORS], found[:N_FACTORS], atol=0.01)
        if ZooCCA is not None:
            left, right = race.results[f"cca_zoo {dtype}"]
            by_zoo = correlations(X @ left, Y @ right)
            np.testing.assert_allclose(by_zoo, expected, atol=100 * atol)
    if fitted := race.results.get("scikit-learn float64"):
        # Its later components have not converged.
        by_sklearn = correlations(*fitted.transform(X, Y))[:N_FACTORS]
        np.testing.assert_allclose(by_sklearn, expected[:N_FACTORS], atol=1e-3)


def both_dtypes(X, Y):
    return {
        "float64": (X, Y),
        "float32": (X.astype(np.float32), Y.astype(np.float32)),
    }


def test_fit_medium(benchmark, race, table):
    n, p, q, k, rounds = MEDIUM
    views = both_dtypes(*paired_rows(np.random.default_rng(0), n, p, q))
    contestants = fit_contestants(views, k)
    contestants["scikit-learn float64"] = partial(sklearn_cca, *views["float64"], k)
    race.run(benchmark, contestants, rounds, fewer={"scikit-learn float64": 1})

    table.section(f"fit, {n} x {p} and {q}, k = {k}", *FIT_COLUMNS)
    goal = ">= 4 x cca_zoo, >= 300 x sklearn"
    wanted = {name: goal for name in contestants if name.startswith("CCAMapper")}
    tabulate_fit(table, race, contestants, wanted)
    check_fit(race, views, k)


def test_fit_large(benchmark, race, table):
    n, p, q, k, rounds = LARGE
    views = both_dtypes(*paired_rows(np.random.default_rng(0), n, p, q))
    contestants = fit_contestants(views, k)
    names = list(contestants)
    slow = {"cca_zoo float64": 2, "cca_zoo float32": 1}
    race.run(benchmark, contestants, rounds, fewer=slow)
    check_fit(race, views, k)
    del views, contestants
    memory = memory_beyond_input("float64") | memory_beyond_input("float32")

    table.section(f"fit, {n} x {p} and {q}, k = {k}", *FIT_COLUMNS)
    for_float64 = "<= 1.25 /GEMMs, >= 1 x bare, >= 4 x cca_zoo, < 64 MB"
    for_float32 = "<= 0.6 /GEMMs, towards 1.3 /f32 GEMMs, >= 8 x cca_zoo, < 64 MB"
    wanted = {
        name: for_float64 if "float64" in name else for_float32
        for name in names
        if name.startswith("CCAMapper")
    }
    tabulate_fit(table, race, names, wanted, memory)
    table.note("scikit-learn is left out: more than a minute for each component.")


def test_fit_wide(benchmark, race, table):
    n, p, q, k, rounds = WIDE
    X, Y = paired_rows(np.random.default_rng(0), n, p, q)
    columns = {
        "/Grams": "two n x n Grams and eigh",
        "x cca_zoo": "cca_zoo",
        "x sklearn": "scikit-learn",
    }
    contestants = {
        "CCAMapper float64, shrinkage auto": partial(mapper, X, Y, k, "auto"),
        "CCAMapper float64, shrinkage 0": partial(mapper, X, Y, k, 0),
        columns["/Grams"]: partial(eigen_of_grams, X, Y),
        "scikit-learn": partial(sklearn_cca, X, Y, k),
    }
    if ZooCCA is not None:
        contestants["cca_zoo"] = partial(zoo_cca, X, Y, k)
    race.run(benchmark, contestants, rounds, fewer={"scikit-learn": 1})

    table.section(f"fit, {n} x {p} and {q}, k = {k}", *columns)
    for name in contestants:
        ours = name.startswith("CCAMapper")
        beside = {
            column: race.best(other)
            for column, other in columns.items()
            if ours or column[0] == "/"
        }
        wanted = "<= 1.5 /Grams, >= 4 x cca_zoo" if ours else ""
        table.add(name, race.best(name), beside, wanted=wanted)

    auto = race.results["CCAMapper float64, shrinkage auto"]
    np.testing.assert_allclose(
        np.sort(auto.correlations_)[::-1],
        dual_correlations(X, Y, k, auto.shrinkage_.values()),
        atol=1e-8,
    )
    plain = race.results["CCAMapper float64, shrinkage 0"]
    np.testing.assert_allclose(plain.correlations_, 1.0, atol=1e-8)
    if ZooCCA is not None:
        left, right = race.results["cca_zoo"]
        np.testing.assert_allclose(correlations(X @ left, Y @ right), 1.0, atol=1e-8)


def test_growth(race, table):
    """Fit time in the number of rows, of columns and of components."""
    steps = {
        "n": [(n, 128, 16) for n in (10_000, 20_000, 40_000, 80_000)],
        "p": [(20_000, p, 16) for p in (64, 128, 256, 512)],
        "k": [(20_000, 128, k) for k in (4, 16, 64, 128)],
    }
    rng = np.random.default_rng(0)
    for n, p, k in sorted({size for sizes in steps.values() for size in sizes}):
        X, Y = paired_rows(rng, n, p, p)
        for _ in range(3):
            race.time((n, p, k), partial(mapper, X, Y, k, "auto"))
            race.time(("GEMMs", n, p, k), partial(gemms, X, Y))
        fitted = race.results[n, p, k]
        assert fitted.correlations_.shape == (k,)
        assert fitted.correlations_[N_FACTORS - 1] > 0.5

    table.section("growth of fit, two views of p columns, shrinkage auto", "/GEMMs")
    for letter, sizes in steps.items():
        for n, p, k in sizes:
            beside = {"/GEMMs": race.best(("GEMMs", n, p, k))}
            what = f"by {letter}: n = {n}, p = {p}, k = {k}"
            table.add(what, race.best((n, p, k)), beside)
    if folder := os.environ.get("SKMETA_FIGURES"):
        draw_growth(steps, race, folder)


def draw_growth(steps, race, folder):
    """A panel a size: seconds of the fit and of the bare GEMMs, on logarithmic axes."""
    plt = pytest.importorskip("matplotlib.pyplot")
    labels = {"n": "rows n", "p": "columns p of each view", "k": "components k"}
    figure, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
    for ax, (letter, sizes) in zip(axes, steps.items(), strict=True):
        along = [size["npk".index(letter)] for size in sizes]
        fits = [race.best(size) for size in sizes]
        bare = [race.best(("GEMMs", *size)) for size in sizes]
        ax.plot(along, bare, "o--", color="0.6", label="bare GEMMs")
        ax.plot(along, fits, "o-", color="tab:blue", label="CCAMapper.fit")
        ax.set_xscale("log", base=2)
        ax.set_yscale("log", base=10)
        ax.set_xticks(along, [f"{size:,}" for size in along])
        ax.minorticks_off()
        ax.set_xlabel(labels[letter])
        ax.spines[["top", "right"]].set_visible(False)
    n, p, k = steps["p"][0][0], steps["k"][0][1], steps["n"][0][2]
    axes[0].set_ylabel("seconds, one thread")
    axes[0].legend(frameon=False)
    figure.suptitle(f"n = {n:,}, p = {p} and k = {k} where not said", fontsize="medium")
    figure.savefig(f"{folder}/cca_growth.png", dpi=110)


# ---- transform and search ------------------------------------------------------------


def test_transform(benchmark, race, table):
    n, p, q, k, _ = LARGE
    views = both_dtypes(*paired_rows(np.random.default_rng(0), n, p, q))
    fitted = mapper(*(rows[:5_000] for rows in views["float64"]), k, "auto")
    contestants, expected = {}, {}
    for dtype, (X, _) in views.items():
        # Weights that give unit-variance scores times the power of the correlation.
        W = fitted.weights_["X"] * fitted.correlations_**fitted.correlation_power
        W = W.astype(dtype)
        contestants[f"transform {dtype}"] = partial(fitted.transform, X)
        contestants[f"GEMM {dtype}"] = partial(np.matmul, X, W)
        expected[dtype] = fitted.means_["X"] @ W
    race.run(benchmark, contestants, rounds=7)

    columns = {"/GEMM": "GEMM float64", "/f32 GEMM": "GEMM float32"}
    table.section(f"transform, {n} x {p} to {k}", *columns)
    for name in contestants:
        beside = {
            column: race.best(other)
            for column, other in columns.items()
            if other[-2:] == name[-2:]
        }
        ours = name.startswith("transform")
        wanted = "<= 1.2 of the GEMM" if ours else ""
        table.add(name, race.best(name), beside, wanted=wanted)
    for dtype, offset in expected.items():
        found, product = (race.results[f"{w} {dtype}"] for w in ("transform", "GEMM"))
        assert found.dtype == dtype
        atol = 1e-10 if dtype == "float64" else 1e-4
        np.testing.assert_allclose(found, product - offset, atol=atol)


def test_search(benchmark, race, table):
    """Top 10 by cosine of 1,000 queries among 100,000 gallery rows of 128 columns."""
    n_gallery, n_query, d, k = 100_000, 1_000, 128, 10
    X, Y = paired_rows(np.random.default_rng(0), n_gallery, d, d)
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    # All scores count alike, so that the coordinates fill all dimensions.
    retriever = CrossModalRetriever(
        CCAMapper(n_components=d, correlation_power=0), metric="cosine", k=k
    ).fit(X[:10_000], Y[:10_000])
    retriever.set_gallery(Y)
    Q = retriever.mapper_.transform_view(X[:n_query], "X")
    metric = get_metric("cosine")
    G = metric.prepare(retriever.mapper_.transform_view(Y, "Y"))
    unit_Q = metric.prepare(Q)
    product = np.empty((n_query, n_gallery), np.float32)
    cosine = NearestNeighbors(n_neighbors=k, algorithm="brute", metric="cosine").fit(G)
    euclid = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(G)
    contestants = {
        "top_k": lambda: top_k(metric.prepare(Q), G, metric, k),
        "CrossModalRetriever": partial(retriever.kneighbors, X[:n_query]),
        "GEMM": partial(np.matmul, unit_Q, G.T, out=product),
        "scikit-learn, cosine": partial(cosine.kneighbors, Q),
        "scikit-learn, Euclidean on unit rows": lambda: euclid.kneighbors(
            metric.prepare(Q)
        ),
    }
    race.run(benchmark, contestants, rounds=5, fewer={"scikit-learn, cosine": 2})

    columns = {
        "/GEMM": "GEMM",
        "x cosine": "scikit-learn, cosine",
        "x Euclid": "scikit-learn, Euclidean on unit rows",
    }
    title = f"top {k} by cosine of {n_query} queries among {n_gallery} x {d}, float32"
    table.section(title, *columns)
    for name in contestants:
        ours = name in ("top_k", "CrossModalRetriever")
        beside = {
            column: race.best(other)
            for column, other in columns.items()
            if ours or column[0] == "/"
        }
        wanted = "<= 1.6 /GEMM, >= 9 x cosine, >= 1.5 x Euclid" if ours else ""
        table.add(name, race.best(name), beside, wanted=wanted)
    expected, rows = race.results["scikit-learn, cosine"]
    for name in ("top_k", "CrossModalRetriever"):
        distances, found = race.results[name]
        np.testing.assert_allclose(distances, expected, atol=1e-5)
        # Rows whose distances differ by less than rounding may stand for each other.
        assert (
            np.mean([np.isin(a, b).mean() for a, b in zip(found, rows, strict=True)])
            > 0.999
        )


# ---- memory --------------------------------------------------------------------------


def memory_beyond_input(dtype):
    """MB (2**20 bytes) by contestant at the large size, from a process of its own."""
    if not os.path.exists("/proc/self/status"):
        return {}
    command = [sys.executable, "-W", "ignore", __file__, dtype]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def peak_of_child(function):
    """MB by which the resident memory of a forked child grows at most.

    The input lies in pages that the child shares, so what grows is what it takes.
    """
    # Freed memory that this process still holds would hide what the child takes.
    ctypes.CDLL(None).malloc_trim(0)
    read, write = os.pipe()
    if os.fork() == 0:
        before = resident("VmRSS")
        result = function()
        os.write(write, str(resident("VmHWM") - before).encode())
        os._exit(0 if result is not None else 1)
    os.close(write)
    with os.fdopen(read) as pipe:
        peak = pipe.read()
    os.wait()
    return float(peak) / 1024


def resident(what):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what))


def print_memory(dtype):
    n, p, q, k, _ = LARGE
    X, Y = (v.astype(dtype) for v in paired_rows(np.random.default_rng(0), n, p, q))
    with threadpool_limits(limits=1):
        # What is loaded and kept at a first call is no part of a fit.
        for function in fit_contestants({dtype: (X[:2_000], Y[:2_000])}, k).values():
            function()
        peaks = {
            name: peak_of_child(function)
            for name, function in fit_contestants({dtype: (X, Y)}, k).items()
            # The others are measured once, to save time.
            if name.startswith("CCAMapper")
            or name in ("bare CCA float64", "cca_zoo float64")
        }
    print(json.dumps(peaks))


if __name__ == "__main__":
    print_memory(sys.argv[1])
