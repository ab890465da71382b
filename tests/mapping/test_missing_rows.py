"""Rows that lack a view: fault row 32, the EM algorithm, and what it is worth."""

from itertools import combinations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import multivariate_normal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.covariance import oas
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from skmeta import CCAMapper, Views
from skmeta.core import em
from skmeta.core import patterns as pt
from skmeta.datasets import make_paired_views

NAMES = ("a", "b", "c")


def three(n=150, widths=(5, 4, 3), seed=0):
    """Three views of the same rows, at three offsets and scales."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 2))
    return {
        name: scale
        * (z @ rng.standard_normal((2, p)) + rng.standard_normal((n, p)) + offset)
        for name, p, scale, offset in zip(
            NAMES, widths, (1.0, 10.0, 0.1), (0.0, 3.0, -5.0), strict=False
        )
    }


def lacking(n, m, share=0.3, seed=0):
    """Masks (n, m) of rows that lack some views and have at least one."""
    rng = np.random.default_rng(seed)
    masks = rng.random((n, m)) > share
    masks[np.arange(n), rng.integers(m, size=n)] = True
    return masks


def with_nan(arrays, masks):
    return {
        name: np.where(mask[:, None], array, np.nan)
        for (name, array), mask in zip(arrays.items(), masks.T, strict=True)
    }


def rows_of(arrays, rows):
    return {name: array[rows] for name, array in arrays.items()}


# ---- every form in which a row can lack a view ---------------------------------------


def as_nan(arrays, masks):
    return {}, Views.from_dict(with_nan(arrays, masks))


def as_present(arrays, masks):
    # What a mask leaves out is never looked at, be it NaN in part of a row.
    arrays = {name: array.copy() for name, array in arrays.items()}
    for array, mask in zip(arrays.values(), masks.T, strict=True):
        array[~mask, 0] = np.nan
        array[~mask, 1] = np.inf
    return {}, Views.from_dict(arrays, present=dict(zip(arrays, masks.T, strict=True)))


def as_torch(arrays, masks):
    torch = pytest.importorskip("torch")
    arrays = with_nan(arrays, masks)
    return {}, Views.from_dict({n: torch.from_numpy(a) for n, a in arrays.items()})


def as_sparse(arrays, masks):
    present = dict(zip(arrays, masks.T, strict=True))
    loose = {name: sparse.csr_array(array) for name, array in arrays.items()}
    return {}, Views.from_dict(loose, present=present)


def as_frames(arrays, masks):
    frames = {n: pd.DataFrame(a) for n, a in with_nan(arrays, masks).items()}
    return {}, Views.from_dict(frames)


def as_nullable_frames(arrays, masks):
    frames = {
        n: pd.DataFrame(a).add_prefix("x").convert_dtypes()
        for n, a in with_nan(arrays, masks).items()
    }
    present = dict(zip(arrays, masks.T, strict=True))
    return {}, Views.from_dict(frames, present=present)


def as_polars_views(arrays, masks):
    frames = {n: polars_frame(n, a) for n, a in with_nan(arrays, masks).items()}
    present = dict(zip(arrays, masks.T, strict=True))
    return {}, Views.from_dict(frames, present=present)


def polars_frame(name, array):
    return pl.DataFrame(array, schema=columns(name, array)).fill_nan(None)


def columns(name, array):
    return [f"{name}{i}" for i in range(array.shape[1])]


def one_table(arrays, masks):
    arrays = with_nan(arrays, masks)
    names = {name: columns(name, array) for name, array in arrays.items()}
    table = np.hstack(list(arrays.values()))
    return names, pd.DataFrame(table, columns=sum(names.values(), []))


def as_columns(arrays, masks):
    names, table = one_table(arrays, masks)
    return {"views": names}, table


def as_columns_of_an_array(arrays, masks):
    _, table = one_table(arrays, masks)
    ends = np.cumsum([0, *(array.shape[1] for array in arrays.values())])
    where = {
        n: slice(a, b) for n, a, b in zip(arrays, ends[:-1], ends[1:], strict=True)
    }
    return {"views": where}, table.to_numpy()


def as_polars_columns(arrays, masks):
    names, table = one_table(arrays, masks)
    return {"views": names}, pl.from_pandas(table).fill_nan(None)


def as_column_transformer(arrays, masks):
    names, table = one_table(arrays, masks)
    views = [(name, StandardScaler(), where) for name, where in names.items()]
    return {"views": ColumnTransformer(views)}, table


FORMS = [
    as_nan,
    as_present,
    as_torch,
    as_sparse,
    as_frames,
    as_nullable_frames,
    as_polars_views,
    as_columns,
    as_columns_of_an_array,
    as_polars_columns,
    as_column_transformer,
]


@pytest.mark.parametrize("unpaired", ["drop", "em", "auto"])
@pytest.mark.parametrize("form", FORMS)
def test_fault_32_all_forms_give_the_same_space(form, unpaired):
    arrays = three()
    masks = lacking(150, 3)
    mapper = CCAMapper(2, unpaired=unpaired)
    params, X = form(arrays, masks)
    mapper.set_params(**params).fit(X)
    expected = CCAMapper(2, unpaired=unpaired).fit(as_nan(arrays, masks)[1])
    assert_allclose(mapper.correlations_, expected.correlations_, atol=1e-9)
    Z = mapper.transform(X)
    assert np.isfinite(Z).all()
    assert_allclose(Z, expected.transform(as_nan(arrays, masks)[1]), atol=1e-8)
    for result in (mapper.score_samples(X), mapper.score(X)):
        assert np.isfinite(result).all()


@pytest.mark.parametrize("form", FORMS)
def test_fault_32_dropped_rows_leave_the_complete_ones(form):
    arrays, masks = three(), lacking(150, 3)
    complete = masks.all(axis=1)
    params, X = form(arrays, masks)
    mapper = CCAMapper(2, unpaired="drop", **params).fit(X)
    whole = CCAMapper(2).fit(Views.from_dict(rows_of(arrays, complete)))
    assert mapper.n_iter_ == 0
    assert_allclose(mapper.correlations_, whole.correlations_, atol=1e-9)
    assert_allclose(
        mapper.transform(X)[complete],
        whole.transform(Views.from_dict(rows_of(arrays, complete))),
        atol=1e-8,
    )


@pytest.mark.parametrize("form", FORMS)
def test_fault_32_missing_blocks_are_regressions_at_transform(form):
    arrays = three()
    masks = lacking(150, 3, seed=1)
    params, X = form(arrays, np.ones((150, 3), bool))
    mapper = CCAMapper(2, correlation_power=0, **params).fit(X)
    scores = mapper.transform(X)
    gappy = mapper.transform(form(arrays, masks)[1])
    for pattern in {tuple(mask) for mask in masks}:
        rows = np.all(masks == pattern, axis=1)
        seen = np.repeat(pattern, 2)
        assert_allclose(gappy[rows][:, seen], scores[rows][:, seen], atol=1e-10)
        if not seen.all():
            line = LinearRegression().fit(scores[:, seen], scores[:, ~seen])
            expected = line.predict(scores[rows][:, seen])
            assert_allclose(gappy[rows][:, ~seen], expected, atol=1e-8)


def test_fault_32_pair_with_rows_of_nan():
    arrays = three(widths=(5, 4))
    X, Y = arrays.values()
    complete = np.arange(150) % 3 > 0
    X_gap = np.where((np.arange(150) % 6 != 0)[:, None], X, np.nan)
    Y_gap = np.where((np.arange(150) % 6 != 3)[:, None], Y, np.nan)
    mapper = CCAMapper(2).fit(X_gap, Y_gap)
    whole = CCAMapper(2).fit(X[complete], Y[complete])
    assert_allclose(mapper.correlations_, whole.correlations_, atol=1e-12)
    for Z, expected in zip(
        mapper.transform(X_gap, Y_gap), whole.transform(X, Y), strict=True
    ):
        assert np.isfinite(Z).all()
        assert_allclose(Z[complete], expected[complete], atol=1e-10)
    frames = pd.DataFrame(X_gap), pd.DataFrame(Y_gap)
    assert_array_equal(
        CCAMapper(2).fit(*frames).correlations_,
        mapper.correlations_,
    )
    assert np.isfinite(CCAMapper(2, unpaired="em").fit(X_gap, Y_gap).score(X, Y))


def test_fault_32_integers_have_masks():
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (80, 4))
    arrays = {"counts": counts, "sums": counts[:, :2] + rng.poisson(1, (80, 2))}
    mask = np.arange(80) % 4 > 0
    arrays["counts"] = np.where(mask[:, None], counts, -(10**9))
    views = Views.from_dict(arrays, present={"counts": mask})
    mapper = CCAMapper(2).fit(views)
    whole = CCAMapper(2).fit(Views.from_dict(rows_of(arrays, mask)))
    assert_allclose(mapper.correlations_, whole.correlations_, atol=1e-12)
    assert np.abs(mapper.transform(views)).max() < 10


class Nullproof(TransformerMixin, BaseEstimator):
    """Fails if it is handed a null."""

    def fit(self, X, y=None):
        self.inner_ = TfidfVectorizer().fit(self._checked(X))
        return self

    def transform(self, X):
        return self.inner_.transform(self._checked(X))

    def _checked(self, X):
        assert len(X) and all(isinstance(text, str) for text in X)
        return X


@pytest.mark.parametrize("frame", ["pandas", "polars"])
@pytest.mark.parametrize("null", [None, np.nan])
def test_fault_32_a_text_transformer_never_sees_a_row_without_text(frame, null):
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=120)
    words = np.array(["red stone", "blue sea", "green leaf"])
    text = [f"{words[k]} {rng.choice(['old', 'new', 'big'])}" for k in kind]
    numbers = kind[:, None] + 0.3 * rng.standard_normal((120, 2))
    has = np.arange(120) % 5 > 0
    table = pd.DataFrame(numbers, columns=["u", "v"]).assign(text=text)
    gappy = table.assign(
        text=pd.Series(
            [t if h else null for t, h in zip(text, has, strict=True)], dtype=object
        )
    )
    if frame == "polars":
        table, gappy = pl.from_pandas(table), pl.from_pandas(gappy)
    views = ColumnTransformer(
        [("numbers", StandardScaler(), ["u", "v"]), ("text", Nullproof(), "text")]
    )
    mapper = CCAMapper(2, views=views).fit(gappy)
    complete = table[np.flatnonzero(has)] if frame == "polars" else table[has]
    # Only numbers know of the rows without text: their scaler is fitted on all rows.
    whole = CCAMapper(2, views=views).fit(complete)
    assert_allclose(mapper.correlations_, whole.correlations_, atol=1e-10)
    assert_allclose(mapper.transform(complete), whole.transform(complete), atol=1e-8)
    assert np.isfinite(mapper.transform(gappy)).all()
    only = gappy[np.flatnonzero(~has)] if frame == "polars" else gappy[~has]
    assert np.isfinite(mapper.transform(only)).all()


@pytest.mark.parametrize("form", FORMS)
def test_fault_32_a_row_without_any_view_is_named(form):
    arrays = three()
    masks = lacking(150, 3)
    params, X = form(arrays, masks)
    mapper = CCAMapper(2, **params).fit(X)
    masks[[41, 77]] = False
    params, X = form(arrays, masks)
    message = "Row 41 has no view at all .2 of 150 rows"
    with pytest.raises(ValueError, match=message):
        mapper.transform(X)
    with pytest.raises(ValueError, match=message):
        CCAMapper(2, **params).fit(X)
    with pytest.raises(ValueError, match=message):
        CCAMapper(2, unpaired="em", **params).fit(X)


def test_fault_32_a_row_without_any_view_is_named_in_a_pair():
    X, Y = three(widths=(5, 4)).values()
    gaps = np.where((np.arange(150) == 9)[:, None], np.nan, X), Y.copy()
    mapper = CCAMapper(2).fit(*gaps)
    gaps[1][9] = np.nan
    for method in (mapper.fit, mapper.transform, mapper.score):
        with pytest.raises(ValueError, match="Row 9 has no view"):
            method(*gaps)
    with pytest.raises(ValueError, match="Row 9 has no view"):
        mapper.transform(gaps[0])


@pytest.mark.parametrize("unpaired", ["drop", "em", "auto"])
def test_fault_32_nan_in_part_of_a_row_is_no_missing_view(unpaired):
    arrays = with_nan(three(), lacking(150, 3))
    arrays["b"][np.flatnonzero(np.isfinite(arrays["b"][:, 0]))[4], 2] = np.nan
    with pytest.raises(ValueError, match="'b' contains NaN in part of a row"):
        CCAMapper(unpaired=unpaired).fit(Views.from_dict(arrays))


# ---- what rows that lack a view are worth --------------------------------------------


def held_out(mapper, views, k):
    """Correlations of the components of new rows, summed."""
    Z = {name: mapper.transform_view(views[name], name) for name in views}
    pairs = list(combinations(Z, 2))
    return sum(
        np.corrcoef(Z[a][:, i], Z[b][:, i])[0, 1] for a, b in pairs for i in range(k)
    ) / len(pairs)


def split(n_pairs, n_extra, n_views, why, n_lacking, seed, n_features, correlations):
    """Training rows of which ``n_extra`` lack views, the complete ones, and new ones.

    ``why`` is what decides which rows lack: chance, or what view0 holds.
    """
    n, rng = n_pairs + n_extra, np.random.default_rng(seed)
    made = make_paired_views(
        n + 2000,
        n_features=n_features[:n_views],
        correlations=correlations,
        random_state=seed,
    )
    train, new = made.views[:n], made.views[n:]
    column = {"chance": np.zeros(n), "column": train["view0"][:, 0]}.get(why)
    if column is None:
        column = made.scores["view0"][:n, 0]
    column = column / (column.std() or 1.0)
    odds = 1 / (1 + np.exp(-3 * column))
    rows = rng.choice(n, n_extra, replace=False, p=odds / odds.sum())
    masks = np.ones((n, n_views), bool)
    for i, row in enumerate(rows):
        count = 1 + i % 2 if n_lacking == "1 or 2" else n_lacking
        among = np.arange(n_views) if why == "chance" else np.arange(1, n_views)
        masks[row, rng.choice(among, count, replace=False)] = False
    gappy = Views.from_dict(with_nan({name: train[name] for name in train}, masks))
    return gappy, train[np.flatnonzero(masks.all(axis=1))], new


CASES = [(2, why, 1) for why in ("chance", "column", "score")]
CASES += [
    (3, why, n) for why in ("chance", "column", "score") for n in (1, 2, "1 or 2")
]


@pytest.mark.parametrize(("n_pairs", "n_extra"), [(60, 180), (200, 400), (1000, 500)])
@pytest.mark.parametrize(("n_views", "why", "n_lacking"), CASES)
def test_fault_32_no_worse_than_complete_rows_alone(
    n_views, why, n_lacking, n_pairs, n_extra
):
    with_gaps, alone = [], []
    for seed in range(3):
        gappy, complete, new = split(
            n_pairs, n_extra, n_views, why, n_lacking, seed, (20, 30, 25), (0.9, 0.7)
        )
        with_gaps.append(held_out(CCAMapper(2).fit(gappy), new, 2))
        alone.append(held_out(CCAMapper(2).fit(complete), new, 2))
    assert np.mean(with_gaps) > np.mean(alone) - 0.01
    if n_lacking != 2 and n_views == 3:
        assert np.mean(with_gaps) > np.mean(alone)


def test_em_gains_where_rows_lack_one_of_three_views():
    scores = {"drop": [], "em": [], "auto": []}
    for seed in range(2):
        gappy, _, new = split(
            200, 600, 3, "chance", 1, seed, (60, 80, 50), (0.9, 0.8, 0.6)
        )
        for unpaired, found in scores.items():
            found.append(held_out(CCAMapper(3, unpaired=unpaired).fit(gappy), new, 3))
    assert np.mean(scores["em"]) > np.mean(scores["drop"]) + 0.1
    assert scores["auto"] == scores["em"]


def test_auto_leaves_out_rows_of_a_single_view():
    arrays, masks = three(), lacking(150, 3, share=0.5)
    several = masks.sum(axis=1) > 1
    assert 20 < several.sum() < 130
    auto = CCAMapper(2).fit(as_nan(arrays, masks)[1])
    some = CCAMapper(2, unpaired="em").fit(
        as_nan(rows_of(arrays, several), masks[several])[1]
    )
    every = CCAMapper(2, unpaired="em").fit(as_nan(arrays, masks)[1])
    assert_allclose(auto.correlations_, some.correlations_, atol=1e-12)
    assert np.abs(every.correlations_ - some.correlations_).max() > 1e-4


# ---- EM ------------------------------------------------------------------------------


def completed(arrays, masks, weights=None):
    """Mean and covariance by the library's EM, and the iterations."""
    ends = np.cumsum([0, *(array.shape[1] for array in arrays.values())])
    slices = [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    present = np.column_stack(list(masks.T))
    patterns = pt.of_patterns(arrays, present, weights)[0]
    done = em.complete(patterns, slices)
    gram = done.moments.gram
    if gram is None:
        gram = done.moments.factor.T @ done.moments.factor
    return done.moments.mean, gram / done.moments.n, done


def row_em(arrays, masks, shrinkage, n_iterations=3000):
    """EM on the rows themselves, one by one, all columns of which may be missing."""
    X = np.hstack(list(with_nan(arrays, masks).values()))
    centre, scale = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
    X = (X - centre) / scale
    p = X.shape[1]
    views = np.repeat(np.arange(len(arrays)), [a.shape[1] for a in arrays.values()])
    mean, C = np.zeros(p), np.zeros((p, p))
    for view in range(len(arrays)):
        here = np.flatnonzero(views == view)
        rows = X[masks[:, view]][:, here]
        C[np.ix_(here, here)] = rows.T @ rows / len(rows)
    for _ in range(n_iterations):
        shrunk = (1 - shrinkage) * C + shrinkage * np.eye(p)
        filled, extra = X.copy(), np.zeros((p, p))
        for mask in np.unique(masks, axis=0):
            rows = np.flatnonzero((masks == mask).all(axis=1))
            o, u = np.flatnonzero(mask[views]), np.flatnonzero(~mask[views])
            B = shrunk[np.ix_(u, o)] @ np.linalg.inv(shrunk[np.ix_(o, o)])
            filled[np.ix_(rows, u)] = mean[u] + (X[np.ix_(rows, o)] - mean[o]) @ B.T
            rest = shrunk[np.ix_(u, u)] - B @ shrunk[np.ix_(o, u)]
            extra[np.ix_(u, u)] += len(rows) * rest
        new_mean = filled.mean(axis=0)
        new = np.cov(filled.T, bias=True) + extra / len(X)
        done = np.abs(new - C).max() < 1e-12
        mean, C = new_mean, new
        if done:
            break
    return mean * scale + centre, C * np.multiply.outer(scale, scale)


@pytest.fixture
def to_the_end(monkeypatch):
    monkeypatch.setattr(em, "TOLERANCE", 1e-12)
    monkeypatch.setattr(em, "MAX_ITERATIONS", 20000)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("widths", [(5, 4, 3), (3, 2)])
def test_em_is_that_of_the_rows(to_the_end, seed, widths):
    arrays, masks = three(90, widths, seed=seed), lacking(90, len(widths), seed=seed)
    complete = np.hstack([a[masks.all(axis=1)] for a in arrays.values()])
    scaled = (complete - complete.mean(axis=0)) / complete.std(axis=0)
    c = oas(scaled)[1]  # that of the complete rows' correlations
    mean, covariance, _ = completed(arrays, masks)
    expected_mean, expected = row_em(arrays, masks, c)
    size = np.sqrt(np.diag(expected))
    assert_allclose((mean - expected_mean) / size, 0, atol=1e-8)
    assert_allclose((covariance - expected) / size / size[:, None], 0, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_em_in_the_span_of_a_wide_view_is_that_in_its_columns(to_the_end, seed):
    arrays, masks = three(24, (30, 3, 25), seed=seed), lacking(24, 3, 0.15, seed=seed)
    complete = np.hstack([a[masks.all(axis=1)] for a in arrays.values()])
    scaled = (complete - complete.mean(axis=0)) / complete.std(axis=0)
    mean, covariance, done = completed(arrays, masks)
    assert done.moments.factor is not None  # not 58 x 58
    expected_mean, expected = row_em(arrays, masks, oas(scaled)[1])
    size = np.sqrt(np.diag(expected))
    assert_allclose((mean - expected_mean) / size, 0, atol=1e-8)
    # No row leaves the span; what shrinkage expects there of missing rows is left out.
    X = np.hstack(list(with_nan(arrays, masks).values()))
    X = (X - np.nanmean(X, axis=0)) / np.nanstd(X, axis=0)
    inside = np.zeros((58, 58))
    for i, view in enumerate((slice(0, 30), slice(30, 33), slice(33, 58))):
        inside[view, view] = np.linalg.pinv(X[masks[:, i], view]) @ X[masks[:, i], view]
    scale = np.nanstd(np.hstack(list(with_nan(arrays, masks).values())), axis=0)
    covariance, expected = (C / scale / scale[:, None] for C in (covariance, expected))
    assert_allclose(covariance, inside @ expected @ inside, atol=1e-8)


def test_em_of_a_wide_view_does_not_depend_on_its_axes(to_the_end):
    # Rows of 32 columns of equal variance in 15 dimensions, turned to other columns.
    rng = np.random.default_rng(0)
    turn = np.array([[1.0]])
    for _ in range(5):
        turn = np.block([[turn, turn], [turn, -turn]])
    z = rng.standard_normal((16, 15))
    z -= z.mean(axis=0)
    z = np.linalg.qr(z)[0] * 4  # unit variances, no correlation
    other = z[:, :3] + rng.standard_normal((16, 3))
    masks = np.ones((16, 2), bool)
    masks[:5, 1] = False
    sets = [turn[:, :15], turn[:, 17:]]
    (m1, C1, _), (m2, C2, _) = (
        completed({"a": z @ axes.T, "b": other}, masks) for axes in sets
    )
    for axes, mean, C in zip(sets, (m1, m2), (C1, C2), strict=True):
        assert_allclose(mean[:32], 0, atol=1e-10)
        assert_allclose(C[:32, :32] @ axes, axes @ (axes.T @ C[:32, :32] @ axes) / 32)
    assert_allclose(sets[0].T @ C1[:32, 32:], sets[1].T @ C2[:32, 32:], atol=1e-8)
    assert_allclose(C1[32:, 32:], C2[32:, 32:], atol=1e-8)


def test_unshrunk_em_of_a_monotone_pattern_is_in_closed_form(to_the_end, monkeypatch):
    # Anderson (1957): a regression on the complete rows, applied to all.
    monkeypatch.setattr(em, "_shrinkage", lambda *args: 0.0)
    arrays = three(120, (4, 3))
    X, Y = arrays.values()
    has = np.arange(120) % 3 > 0
    mean, C, _ = completed(arrays, np.column_stack([np.ones(120, bool), has]))
    line = LinearRegression().fit(X[has], Y[has])
    B = line.coef_.T
    left = Y[has] - line.predict(X[has])
    S = np.cov(X.T, bias=True)
    assert_allclose(mean, [*X.mean(axis=0), *line.predict(X).mean(axis=0)], atol=1e-6)
    assert_allclose(C[:4, :4], S, atol=1e-8)
    assert_allclose(C[:4, 4:], S @ B, rtol=1e-6)
    assert_allclose(C[4:, 4:], B.T @ S @ B + left.T @ left / has.sum(), rtol=1e-6)


def log_likelihood(arrays, masks, mean, covariance):
    X = np.hstack(list(arrays.values()))
    views = np.repeat(np.arange(len(arrays)), [a.shape[1] for a in arrays.values()])
    total = 0.0
    for mask in np.unique(masks, axis=0):
        rows, o = (masks == mask).all(axis=1), np.flatnonzero(mask[views])
        normal = multivariate_normal(mean[o], covariance[np.ix_(o, o)])
        total += normal.logpdf(X[rows][:, o]).sum()
    return total


def test_unshrunk_em_climbs_to_the_maximum_of_the_likelihood(monkeypatch):
    monkeypatch.setattr(em, "_shrinkage", lambda *args: 0.0)
    monkeypatch.setattr(em, "TOLERANCE", 1e-12)
    arrays, masks = three(100), lacking(100, 3)
    climb = []
    for steps in (1, 2, 3, 5, 8, 13, 30, 5000):
        monkeypatch.setattr(em, "MAX_ITERATIONS", steps)
        mean, C, _ = completed(arrays, masks)
        climb.append(log_likelihood(arrays, masks, mean, C))
    assert (np.diff(climb) > -1e-6).all()
    assert climb[0] < climb[-1] - 1
    rng = np.random.default_rng(0)
    size = np.sqrt(np.diag(C))
    for _ in range(10):
        step = rng.standard_normal((12, 12)) * np.multiply.outer(size, size)
        step, shift = 1e-4 * (step + step.T), 1e-4 * size * rng.standard_normal(12)
        up = log_likelihood(arrays, masks, mean + shift, C + step)
        down = log_likelihood(arrays, masks, mean - shift, C - step)
        assert max(up, down) < climb[-1]
        assert abs(up - down) < 1e-2 * (2 * climb[-1] - up - down) + 1e-6


def test_em_of_complete_rows_is_their_covariance():
    arrays = three(60)
    mean, C, done = completed(arrays, np.ones((60, 3), bool))
    X = np.hstack(list(arrays.values()))
    assert_allclose(mean, X.mean(axis=0), atol=1e-12)
    assert_allclose(C, np.cov(X.T, bias=True), atol=1e-10)
    assert done.n_iterations <= 2
    fits = [
        CCAMapper(2, unpaired=unpaired).fit(Views.from_dict(arrays))
        for unpaired in ("em", "drop", "auto")
    ]
    for mapper in fits:
        assert mapper.n_iter_ == 0
        assert_array_equal(mapper.correlations_, fits[0].correlations_)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), exponents=st.tuples(*[st.integers(-6, 6)] * 3))
def test_em_does_not_depend_on_units_or_order(seed, exponents):
    arrays, masks = three(60, seed=seed), lacking(60, 3, share=0.3, seed=seed)
    plain = CCAMapper(2, unpaired="em").fit(as_nan(arrays, masks)[1])
    order = np.random.default_rng(seed).permutation(60)
    moved = {
        name: (array * 10.0**e + 3 * 10.0**e)[order]
        for (name, array), e in zip(arrays.items(), exponents, strict=True)
    }
    mapper = CCAMapper(2, unpaired="em").fit(as_nan(moved, masks[order])[1])
    assert_allclose(mapper.correlations_, plain.correlations_, atol=1e-8)
    Z = mapper.transform(as_nan(moved, masks[order])[1])
    assert_allclose(Z, plain.transform(as_nan(arrays, masks)[1])[order], atol=1e-6)


@pytest.mark.parametrize("widths", [(5, 4, 3), (5, 60, 3)])
def test_duplicate_rows_are_weights_under_em(widths):
    arrays, masks = three(50, widths), lacking(50, 3)
    weights = np.random.default_rng(0).integers(0, 4, 50)
    rows = np.repeat(np.arange(50), weights)
    weighted = CCAMapper(2, unpaired="em").fit(
        as_nan(arrays, masks)[1], sample_weight=weights
    )
    repeated = CCAMapper(2, unpaired="em").fit(
        as_nan(rows_of(arrays, rows), masks[rows])[1]
    )
    assert_allclose(weighted.correlations_, repeated.correlations_, atol=1e-9)
    X = Views.from_dict(arrays)
    assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-7)


def pairs_only(n):
    """Masks of rows that have two of three views, turn by turn."""
    return ~np.eye(3, dtype=bool)[np.arange(n) % 3]


@pytest.mark.parametrize("unpaired", ["em", "auto"])
def test_em_needs_no_complete_rows(unpaired):
    arrays = three(3000)
    X = as_nan(arrays, pairs_only(3000))[1]
    mapper = CCAMapper(2, unpaired=unpaired).fit(X)
    whole = CCAMapper(2).fit(Views.from_dict(arrays))
    assert mapper.n_iter_ > 0
    # Two thirds of the rows say of each pair what all say.
    assert_allclose(mapper.correlations_, whole.correlations_, atol=0.05)
    with pytest.raises(ValueError, match="0 of 3000 rows have every view.*'em'"):
        CCAMapper(2, unpaired="drop").fit(X)


def test_no_complete_rows_of_two_views():
    X, Y = three(40, (5, 4)).values()
    first = (np.arange(40) < 20)[:, None]
    gaps = np.where(first, X, np.nan), np.where(first, np.nan, Y)
    with pytest.raises(ValueError, match="0 of 40 rows have every view"):
        CCAMapper(2).fit(*gaps)
    with pytest.raises(ValueError, match="'X' together with another view"):
        CCAMapper(2, unpaired="em").fit(*gaps)


def test_a_view_never_seen_with_another_is_named():
    arrays = three(90)
    masks = np.ones((90, 3), bool)
    masks[:30, 2] = False
    masks[30:, :2] = False
    for unpaired in ("em", "auto"):
        with pytest.raises(ValueError, match="'c' together with another view"):
            CCAMapper(2, unpaired=unpaired).fit(as_nan(arrays, masks)[1])
    with pytest.raises(ValueError, match="0 of 90 rows have every view"):
        CCAMapper(2, unpaired="drop").fit(as_nan(arrays, masks)[1])


def test_em_that_does_not_converge_says_so(monkeypatch):
    X = as_nan(three(), lacking(150, 3))[1]
    monkeypatch.setattr(em, "MAX_ITERATIONS", 2)
    with pytest.warns(ConvergenceWarning, match="EM stopped after 2 iterations.*drop"):
        mapper = CCAMapper(2).fit(X)
    assert mapper.n_iter_ == 2
    assert np.isfinite(mapper.transform(X)).all()


def test_unpaired_is_checked():
    with pytest.raises(ValueError, match="unpaired.*'pairwise'"):
        CCAMapper(unpaired="pairwise").fit(*three(widths=(5, 4)).values())


@pytest.mark.parametrize("widths", [(60, 50, 40), (60, 4, 3)])
@pytest.mark.parametrize("unpaired", ["drop", "em", "auto"])
def test_wide_views_with_gaps_are_finite(unpaired, widths):
    arrays, masks = three(40, widths), lacking(40, 3)
    X = as_nan(arrays, masks)[1]
    mapper = CCAMapper(2, unpaired=unpaired, fusion="mean").fit(X)
    assert np.isfinite(mapper.transform(X)).all()
    assert (np.abs(mapper.correlations_) <= 1 + 1e-9).all()


def test_what_present_masks_out_is_neither_read_nor_copied():
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(80, 4)), rng.normal(size=(80, 3))
    mask = np.arange(80) >= 20
    wild = A.copy()
    wild[~mask] = [np.inf, -np.inf, np.nan, 1e300]
    zero = np.where(mask[:, None], A, 0)
    found, expected = (
        CCAMapper(2).fit(Views.from_dict({"a": X, "b": B}, present={"a": mask}))
        for X in (wild, zero)
    )
    np.testing.assert_array_equal(found.correlations_, expected.correlations_)
    blocks = found._reader.read(
        found, Views.from_dict({"a": wild, "b": B}, present={"a": mask})
    )
    assert blocks.arrays["a"] is wild
    wild[30, 2] = np.nan
    with pytest.raises(ValueError, match="row 30, column 2"):
        found.transform(Views.from_dict({"a": wild, "b": B}, present={"a": mask}))


def test_a_pandas_frame_sparse_about_nan_is_named():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(np.eye(6)).astype(pd.SparseDtype(float, np.nan))
    with pytest.raises(ValueError, match=r"View 'a'.*to_dense"):
        CCAMapper(1).fit(Views(a=frame, b=np.ones((6, 1))))
