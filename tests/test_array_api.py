"""`CCAMapper` on arrays that are not numpy's: in and out in the same place."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.utils._array_api import move_estimator_to
from sklearn.utils.estimator_checks import check_array_api_input_and_values

from skmeta import CCAMapper, Views
from skmeta.datasets import make_paired_views

LIBRARIES = ["array_api_strict", "torch"]
DTYPES = ["float64", "float32"]


def namespace(library):
    if library == "torch":
        pytest.importorskip("torch")
        from sklearn.externals.array_api_compat import torch

        return torch
    return pytest.importorskip("array_api_strict")


@pytest.fixture(scope="module")
def host():
    views = make_paired_views(
        400, n_features=(6, 5, 4), correlations=(0.9, 0.6), random_state=0
    ).views
    return {name: view + 3.0 for name, view in views.items()}


def moved(arrays, xp, dtype):
    return {n: xp.asarray(a.astype(dtype)) for n, a in arrays.items()}


def host_of(array):
    return np.asarray(array)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_scikit_learns_check_of_values(library, dtype):
    namespace(library)
    mapper = CCAMapper(shrinkage=0.1)
    check_array_api_input_and_values(
        "CCAMapper", mapper, library, dtype_name=dtype, check_sample_weight=True
    )


@pytest.mark.parametrize("fusion", ["concat", "mean", "posterior", "view1"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_method_gives_the_answer_of_numpy_in_the_same_place(
    host, library, dtype, fusion
):
    xp = namespace(library)
    plain = CCAMapper(3, fusion=fusion).fit(Views(**host))
    atol = 1e-9 if dtype == "float64" else 2e-5
    with config_context(array_api_dispatch=True):
        views = Views(**moved(host, xp, dtype))
        mapper = CCAMapper(3, fusion=fusion).fit(views)
        results = [
            (mapper.transform(views), plain.transform(Views(**host))),
            (mapper.score_samples(views), plain.score_samples(Views(**host))),
            (
                mapper.transform_view(views["view1"], "view1"),
                plain.transform_view(host["view1"], "view1"),
            ),
            (
                mapper.predict_view(views["view0"], source="view0", target="view2"),
                plain.predict_view(host["view0"], source="view0", target="view2"),
            ),
        ]
        for array, _ in results:
            assert isinstance(array, type(views["view0"]))
        rebuilt = mapper.inverse_transform(results[0][0])["view0"]
        assert isinstance(rebuilt, type(views["view0"]))
        assert isinstance(mapper.weights_["view0"], type(views["view0"]))
        assert results[0][0].dtype == getattr(xp, dtype)
        score = mapper.score(views)
    for array, expected in results:
        assert_allclose(host_of(array), expected, atol=50 * atol)
    assert_allclose(score, plain.score(Views(**host)), atol=atol)


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_that_lack_a_view_and_pieces(host, library):
    xp = namespace(library)
    host = {name: array.copy() for name, array in host.items()}
    host["view1"][::3] = np.nan
    host["view2"][1::3] = np.nan
    plain = CCAMapper(2).fit(Views(**host))
    with config_context(array_api_dispatch=True):
        views = Views(**moved(host, xp, "float64"))
        mapper = CCAMapper(2).fit(views)
        Z = mapper.transform(views)
        pieces = [
            Views(**moved({n: a[rows] for n, a in host.items()}, xp, "float64"))
            for rows in (slice(0, 150), slice(150, 400))
        ]
        streamed = CCAMapper(2)
        for piece in pieces:
            streamed.partial_fit(piece)
        again = streamed.transform(views)
        assert isinstance(again, type(views["view0"]))
    assert_allclose(host_of(Z), plain.transform(Views(**host)), atol=1e-9)
    assert_allclose(host_of(again), host_of(Z), atol=1e-9)


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_learned_moves_to_numpy_by_one_call(host, library):
    xp = namespace(library)
    with config_context(array_api_dispatch=True):
        mapper = CCAMapper(2).fit(Views(**moved(host, xp, "float64")))
        with pytest.raises(ValueError, match=r"same namespace.*CCAMapper|CCAMapper"):
            mapper.transform(Views(**host))
        back = move_estimator_to(mapper, np, "cpu")
        Z = back.transform(Views(**host))
    assert isinstance(back.weights_["view0"], np.ndarray)
    assert isinstance(Z, np.ndarray)
    plain = CCAMapper(2).fit(Views(**host))
    assert_allclose(Z, plain.transform(Views(**host)), atol=1e-9)
    restored = pickle.loads(pickle.dumps(back))
    assert_allclose(restored.transform(Views(**host)), Z)


def test_faults_are_those_of_numpy(host):
    xp = namespace("array_api_strict")
    for value, message in ((np.inf, "infinity: row 7"), (np.nan, "NaN in part.*row 7")):
        bad = {name: array.copy() for name, array in host.items()}
        bad["view1"][7, 2] = value
        with config_context(array_api_dispatch=True):
            with pytest.raises(ValueError, match=message):
                CCAMapper(2).fit(Views(**moved(bad, xp, "float64")))
