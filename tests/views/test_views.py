"""`Views` as a mapping, as a container of rows, and in scikit-learn's splitters."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.model_selection import KFold, cross_val_score, train_test_split

from skmeta import CCAMapper, Views

CONTAINERS = {
    "numpy": lambda A: A,
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "csr": sparse.csr_array,
    "coo": sparse.coo_array,
    "dok": sparse.dok_array,
    "list": lambda A: A.tolist(),
    "sequences": lambda A: [row[: 1 + i % 3] for i, row in enumerate(A)],
    "texts": lambda A: [f"row {i}" for i in range(len(A))],
}


@pytest.fixture
def A():
    return np.arange(20.0).reshape(10, 2)


def plain(value):
    """Rows as nested lists, whatever holds them."""
    if sparse.issparse(value):
        return value.toarray().tolist()
    if hasattr(value, "to_numpy"):
        return value.to_numpy().tolist()
    return [np.asarray(v).tolist() for v in value]


def test_mapping_of_names(A):
    views = Views(image=A, text=A[:, :1])
    assert list(views) == list(views.keys()) == ["image", "text"]
    assert "text" in views and "sound" not in views
    assert dict(views.items())["text"].shape == (10, 1)
    assert [v.shape for v in views.values()] == [(10, 2), (10, 1)]
    assert dict(**views).keys() == views.keys()
    assert list(views[["text"]]) == ["text"]
    with pytest.raises(KeyError, match="sound.*image.*text"):
        views["sound"]


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize(
    "key",
    [
        np.array([3, 1, 1]),
        [4, -1],
        slice(2, 5),
        np.arange(10) % 3 == 0,
        (np.array([7, 2]), ...),
        3,
        [],
    ],
    ids=str,
)
def test_rows_of_every_kind_of_container(A, kind, key):
    views = Views(a=A, b=CONTAINERS[kind](A))
    part = views[key]
    rows = np.arange(10)[key[0] if isinstance(key, tuple) else key]
    rows = np.atleast_1d(rows).astype(int)
    assert len(part) == len(rows) and part.shape == (len(rows),)
    assert_array_equal(part["a"], A[rows])
    whole = plain(views["b"])
    assert plain(part["b"]) == [whole[i] for i in rows]
    if not sparse.issparse(views["b"]):  # of which some formats have no rows
        assert type(part["b"]) is type(views["b"])


def test_torch_tensors(A):
    torch = pytest.importorskip("torch")
    views = Views(a=A, b=torch.as_tensor(A, dtype=torch.float32).requires_grad_())
    assert isinstance(views[[1, 2]]["b"], torch.Tensor)
    assert views.present["b"].all()
    rng = np.random.default_rng(0)
    data = rng.standard_normal((30, 3))
    both = Views(a=data, b=torch.as_tensor(data + rng.standard_normal((30, 3))))
    expected = CCAMapper(2).fit(Views(a=data, b=both["b"].numpy())).transform(both)
    assert_array_equal(CCAMapper(2).fit(both).transform(both), expected)


def test_repr_says_what_is_inside(A):
    views = Views(a=A.astype(np.float16), b=["x"] * 10)
    assert repr(views) == "Views(n_rows=10, a: (10, 2) float16, b: list of 10)"


def test_splitters_of_scikit_learn(A):
    rng = np.random.default_rng(0)
    views = Views(a=rng.standard_normal((60, 3)), b=rng.standard_normal((60, 3)))
    train, test = train_test_split(views, test_size=0.25, random_state=0)
    assert isinstance(train, Views) and (len(train), len(test)) == (45, 15)
    scores = cross_val_score(CCAMapper(1), views, cv=KFold(4))
    assert scores.shape == (4,)


def test_pickle(A):
    views = Views.from_dict({"a": A, "b": A}, present={"b": np.arange(10) < 5})
    restored = pickle.loads(pickle.dumps(views))
    assert_array_equal(restored["a"], A)
    assert_array_equal(restored.present["b"], views.present["b"])


def test_no_single_array(A):
    with pytest.raises(TypeError, match=r"views\['image'\].*CCAMapper"):
        np.asarray(Views(image=A, text=A))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda A: Views(), ValueError, "at least one view"),
        (lambda A: Views(a=A, b=A[:9]), ValueError, "'a' has 10 rows, 'b' has 9"),
        (lambda A: Views(a=3.0), TypeError, "float"),
        (lambda A: Views(a=np.float64(3)), ValueError, "single value"),
        (lambda A: Views.from_dict({1: A}), TypeError, "strings"),
        (lambda A: Views(a=None), TypeError, "NoneType"),
        (lambda A: Views(a=A)[:, 0], IndexError, "a slice, integers"),
        (lambda A: Views(a=A)[[10]], IndexError, "Row 10 is out of range for 10"),
        (lambda A: Views(a=A)[np.ones(3, bool)], IndexError, "mask of length 10"),
        (
            lambda A: Views.from_dict({"a": A}, present={"b": np.ones(10, bool)}),
            ValueError,
            "the views are",
        ),
        (
            lambda A: Views.from_dict({"a": A}, present={"a": np.ones(9, bool)}),
            ValueError,
            r"shape \(10,\)",
        ),
    ],
)
def test_refusals(A, make, error, message):
    with pytest.raises(error, match=message):
        make(A)


@pytest.mark.parametrize(
    "column",
    [
        np.array([[1.0, np.nan], [np.nan, np.nan], [1, 2]]),
        pd.DataFrame({"a": ["x", None, "y"], "b": [1.0, np.nan, 2.0]}),
        pd.DataFrame({"a": pd.array([1, None, 2], dtype="Float64")}),
        pl.DataFrame({"a": ["x", None, "y"], "b": [1.0, float("nan"), None]}),
        ["x", None, "y"],
        [[1.0, 2.0], [np.nan, np.nan], [np.nan, 1.0]],
        [np.ones((2, 3)), None, np.ones((5, 3))],
        np.array([["x", 1], [None, np.nan], ["y", pd.NA]], dtype=object),
        pd.Series(["x", pd.NA, "y"], dtype="string"),
        np.array([[[1.0, 2]], [[np.nan] * 2], [[np.nan, 1]]]),
    ],
    ids=str,
)
def test_missing_rows_are_null_throughout(column):
    assert_array_equal(Views(a=column).present["a"], [True, False, True])


def test_present_masks_follow_the_rows(A):
    views = Views.from_dict({"a": A, "b": A}, present={"b": np.arange(10) < 5})
    assert_array_equal(views[[4, 5]].present["b"], [True, False])
    assert_array_equal(views[3:7].present["b"], [True, True, False, False])


# ---- Views.join ----------------------------------------------------------------------


@pytest.fixture
def tables():
    rna = pd.DataFrame({"g": [1.0, 2, 3]}, index=["p1", "p2", "p3"])
    protein = pd.DataFrame({"m": [30, 10], "n": ["x", "y"]}, index=["p3", "p1"])
    return rna, protein


@pytest.mark.parametrize(
    ("how", "keys"),
    [
        ("outer", ["p1", "p2", "p3"]),
        ("inner", ["p1", "p3"]),
        ("left", ["p1", "p2", "p3"]),
    ],
)
def test_join_pandas_by_index(tables, how, keys):
    rna, protein = tables
    views = Views.join(rna=rna, protein=protein, how=how)
    assert views["rna"].index.tolist() == views["protein"].index.tolist() == keys
    expected = [k in protein.index for k in keys]
    assert_array_equal(views.present["protein"], expected)
    assert views["protein"].loc["p3", "m"] == 30
    assert views["rna"].loc["p3", "g"] == 3


@pytest.mark.parametrize("library", [pd, pl])
def test_join_by_key(library):
    a = library.DataFrame({"id": [3, 1, 2], "x": [0.3, 0.1, 0.2]})
    b = library.DataFrame({"id": [2, 4], "y": [20.0, 40.0]})
    views = Views.join(a=a, b=b, on="id")
    assert list(views["a"].columns) == ["x"] and list(views["b"].columns) == ["y"]
    assert_array_equal(views.present["a"], [True, True, True, False])
    assert_array_equal(views.present["b"], [False, False, True, True])
    assert_array_equal(views["b"].to_numpy()[2:, 0], [20, 40])
    # Marks hold where the type of the column has no null of its own.
    assert len(Views.join(a=a, b=b, on="id", how="inner")) == 1


def test_join_of_a_shuffled_index_restores_the_pairing():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((200, 3)))
    Y = X * 2 + 0.05 * rng.standard_normal((200, 3))
    shuffled = Y.sample(frac=1, random_state=0)
    views = Views.join(X=X, Y=shuffled)
    assert CCAMapper(1).fit(views).correlations_[0] > 0.99
    assert_array_equal(views["Y"].to_numpy(), Y.to_numpy())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r, p: Views.join(a=r, b=p, how="cross"), ValueError, "outer.*inner"),
        (lambda r, p: Views.join(a=r), ValueError, "two or more"),
        (lambda r, p: Views.join(a=r, b=np.ones(3)), TypeError, "ndarray"),
        (lambda r, p: Views.join(a=r, b=p, on="id"), ValueError, "no column 'id'"),
        (
            lambda r, p: Views.join(a=pd.concat([r, r]), b=p),
            ValueError,
            "'p1' appears twice in table 'a'",
        ),
        (
            lambda r, p: Views.join(a=r, b=p.rename(str.upper), how="inner"),
            ValueError,
            "share no key",
        ),
        (
            lambda r, p: Views.join(a=pl.from_pandas(r), b=pl.from_pandas(p)),
            ValueError,
            "no index.*on=",
        ),
        (lambda r, p: Views.join(a=r, b=pl.from_pandas(p)), TypeError, "both"),
    ],
)
def test_join_refusals(tables, call, error, message):
    with pytest.raises(error, match=message):
        call(*tables)
