"""Bad input to a neural mapper, by the numbers of the table of faults."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from skmeta import NeuralSharedSpaceMapper, Views
from skmeta.datasets import make_paired_views

pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MADE = make_paired_views(60, n_features=(5, 6), random_state=0).views
X, Y = MADE["view0"], MADE["view1"]


def make(**options):
    given = {"n_components": 3, "hidden_layer_sizes": (8,), "max_iter": 2}
    return NeuralSharedSpaceMapper(**{**given, "random_state": 0, **options})


def changed(array, value, at=(7, 1)):
    array = array.copy()
    array[at] = value
    return array


@pytest.mark.parametrize("loss", ["info_nce", "cross_entropy"])
def test_fault_01_nan_in_part_of_a_row_at_fit(loss):
    views = Views(a=changed(X, np.nan), b=Y)
    with pytest.raises(ValueError, match="View 'a' contains NaN.*imputer"):
        make(loss=loss).fit(views, np.arange(60) % 2)


def test_fault_01_nan_in_part_of_an_image():
    images = np.zeros((60, 1, 5, 5))
    images[3, 0, 2, 2] = np.nan
    with pytest.raises(ValueError, match="View 'a' contains NaN"):
        make(encoders={"a": "conv4"}).fit(Views(a=images, b=Y))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_fault_02_inf_at_fit(value):
    with pytest.raises(ValueError, match="View 'Y' contains infinity"):
        make().fit(X, changed(Y, value))


def test_fault_03_nan_in_part_of_a_row_at_transform():
    mapper = make().fit(X, Y)
    with pytest.raises(ValueError, match="View 'X' contains NaN"):
        mapper.transform(changed(X, np.nan))


def test_fault_04_row_counts_differ_at_fit():
    with pytest.raises(ValueError, match="60 rows, but Y has 59"):
        make().fit(X, Y[:-1])


def test_fault_05_row_counts_differ_at_transform():
    with pytest.raises(ValueError, match="60 rows, but Y has 59"):
        make().fit(X, Y).transform(X, Y[:-1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int16, np.uint8, bool])
def test_fault_16_dtypes(dtype):
    rng = np.random.default_rng(0)
    A, B = (rng.integers(0, 2, size=(60, p)).astype(dtype) for p in (5, 6))
    Z = make().fit(A, B).transform(A)
    assert Z.dtype == (np.float32 if np.dtype(dtype).kind == "f" else np.float64)
    expected = make().fit(A.astype(float), B.astype(float)).transform(A.astype(float))
    assert_allclose(Z, expected, atol=1e-4)


def test_fault_17_complex():
    with pytest.raises(ValueError, match="Complex data not supported"):
        make().fit(X + 1j, Y)


def test_fault_18_text_as_data():
    text = np.array([["família 👩‍👩‍👧", "漢字"]] * 60)
    with pytest.raises(ValueError, match="text|convert"):
        make().fit(Views(a=text, b=Y))


def test_fault_19_wide_unicode_in_names_of_views_and_classes():
    names = {"ビュー 🧪": slice(0, 3), "família": slice(3, 5)}
    labels = np.array(["чётный", "👩‍👩‍👧"])[np.arange(60) % 2]
    mapper = make(views=names, loss="cross_entropy").fit(X, labels)
    assert set(mapper.predict(X)) <= set(labels)
    assert mapper.get_feature_names_out()[0] == "ビュー 🧪__0"


def test_fault_21_and_22_pandas_nullable():
    frame = pd.DataFrame(X).astype("Float64")
    assert_array_equal(
        make().fit(Views(a=frame, b=Y)).correlations_,
        make().fit(Views(a=X, b=Y)).correlations_,
    )
    frame.iloc[3, 1] = pd.NA
    with pytest.raises(ValueError, match="View 'a' contains NaN"):
        make().fit(Views(a=frame, b=Y))


def test_fault_23_polars():
    frame = pl.DataFrame({f"c{i}": X[:, i] for i in range(5)})
    Z = make(views={"a": ["c0", "c1"], "b": ["c2", "c3", "c4"]}).fit_transform(frame)
    expected = make(views={"a": [0, 1], "b": [2, 3, 4]}).fit_transform(X)
    assert_array_equal(Z, expected)


def test_fault_24_column_names_and_order_at_transform():
    frame = pd.DataFrame(X, columns=list("abcde"))
    mapper = make(views={"left": ["a", "b"], "right": ["c", "d", "e"]}).fit(frame)
    with pytest.raises(ValueError, match="feature names"):
        mapper.transform(frame[list("edcba")])


@pytest.mark.parametrize("n", [0, 1])
def test_fault_25_no_row_or_one(n):
    with pytest.raises(ValueError, match="minimum of 2"):
        make().fit(X[:n], Y[:n])
    with pytest.raises(ValueError, match="minimum of"):
        make().fit(X, Y).transform(X[:0])


def test_fault_27_wrong_feature_count():
    mapper = make().fit(X, Y)
    with pytest.raises(ValueError, match="4 features.*5"):
        mapper.transform(X[:, :4])
    with pytest.raises(ValueError, match="4 features.*6"):
        mapper.transform(X, Y[:, :4])


@pytest.mark.parametrize("method", ["transform", "predict", "predict_proba", "score"])
def test_fault_28_before_fit(method):
    mapper = make(loss="cross_entropy", views={"a": [0], "b": [1, 2]})
    with pytest.raises(NotFittedError):
        getattr(mapper, method)(*([X, X[:, 0]] if method == "score" else [X]))


@pytest.mark.parametrize("layout", ["read-only", "fortran", "strided", "mapped"])
def test_fault_29_and_30_layouts_work_and_no_input_changes(layout, tmp_path):
    A = X.copy()
    if layout == "read-only":
        A.flags.writeable = False
    elif layout == "fortran":
        A = np.asfortranarray(A)
    elif layout == "strided":
        A = np.repeat(A, 2, axis=1)[:, ::2]
    else:
        np.save(tmp_path / "A.npy", A)
        A = np.load(tmp_path / "A.npy", mmap_mode="r")
    Z = make().fit(A, Y).transform(A)
    assert_array_equal(A, X)
    assert_allclose(Z, make().fit(X, Y).transform(X), atol=1e-6)


def test_fault_38_threads_transforming_give_equal_bits():
    images = np.random.default_rng(0).normal(size=(60, 1, 8, 8))
    views = Views(a=images, b=Y)
    mapper = make(encoders={"a": "conv4"}, loss="cross_entropy")
    mapper.fit(views, np.arange(60) % 3)
    expected = mapper.predict_proba(views)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(mapper.predict_proba, [views] * 16):
            assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("n_components", 0),
        ("dropout", 1.0),
        ("batch_size", 1),
        ("learning_rate_init", 0.0),
        ("learning_rate_init", -1.0),
        ("head", "quadratic"),
        ("alignment", -1.0),
        ("precision", "float8"),
        ("encoders", ["conv4"]),
        ("hidden_layer_sizes", (0,)),
        ("loss", "nonsense"),
        ("augment", {"X": "nonsense"}),
        ("scoring", "nonsense"),
    ],
)
def test_fault_48_and_other_parameters_that_cannot_be(parameter, value):
    mapper = make(**{parameter: value})
    with pytest.raises((ValueError, TypeError), match=parameter.split("_")[0]):
        mapper.fit(X, Y)
    assert not hasattr(mapper, "encoders_")


def test_a_failed_refit_leaves_the_mapper_as_it_was():
    mapper = make().fit(X, Y)
    before = mapper.transform(X)
    with pytest.raises(ValueError, match="contains NaN"):
        mapper.fit(changed(X, np.nan), Y)
    with pytest.raises(ValueError, match="choose one of"):
        mapper.set_params(loss="nonsense").fit(X, Y)
    assert_array_equal(mapper.transform(X), before)


# ---- callbacks -----------------------------------------------------------------------


def test_callbacks_see_each_pass_and_can_stop_the_fit():
    callback = pytest.importorskip("sklearn.callback")
    seen = []

    class Stop:
        def setup(self, estimator, context):
            seen.append("setup")

        def on_fit_task_begin(self, *args, **kwargs):
            pass

        def on_fit_task_end(self, estimator, context, **kwargs):
            if context.task_name == "epoch":
                fitted = kwargs.get("fitted_estimator")
                seen.append(context.task_id if fitted is None else fitted.score(X, Y))
            return len(seen) > 3

        def teardown(self, estimator, context):
            seen.append("teardown")

    assert isinstance(Stop(), callback.FitCallback)
    mapper = make(max_iter=50).set_callbacks(Stop()).fit(X, Y)
    assert seen[0] == "setup" and seen[-1] == "teardown"
    assert mapper.n_iter_ == len(seen) - 2 == 3


def test_the_progress_bar_draws(capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    make(max_iter=3).set_callbacks(callback.ProgressBar()).fit(X, Y)
    assert "100%" in capsys.readouterr().out
