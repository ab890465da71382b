"""CUDA beside the CPU: the same answers, and how long they take.

``pytest tests/gpu -s`` on a machine with a GPU; skipped without one.
"""

import time

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.utils.estimator_checks import check_array_api_input_and_values

from skmeta import CCAMapper, Views
from skmeta.datasets import make_paired_views

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device on this machine"
)


def pairs(n, p, q, dtype):
    views = make_paired_views(n, n_features=(p, q), random_state=0).views
    host = {name: np.asarray(view, dtype=dtype) for name, view in views.items()}
    there = {name: torch.as_tensor(view, device="cuda") for name, view in host.items()}
    return Views(**host), Views(**there)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_scikit_learns_check(dtype):
    check_array_api_input_and_values(
        "CCAMapper",
        CCAMapper(shrinkage=0.1),
        "torch",
        device_name="cuda",
        dtype_name=dtype,
        check_sample_weight=True,
    )


@pytest.mark.parametrize("dtype, atol", [("float64", 1e-8), ("float32", 1e-3)])
def test_cuda_gives_the_answer_of_the_cpu(dtype, atol):
    host, there = pairs(5000, 40, 30, dtype)
    plain = CCAMapper(2).fit(host)
    with config_context(array_api_dispatch=True):
        mapper = CCAMapper(2).fit(there)
        Z = mapper.transform(there)
        assert Z.device.type == "cuda"
        assert Z.dtype == getattr(torch, dtype)
        predicted = mapper.predict_view(there["view0"], source="view0", target="view1")
        assert predicted.device.type == "cuda"
    assert_allclose(Z.cpu().numpy(), plain.transform(host), atol=atol)
    expected = plain.predict_view(host["view0"], source="view0", target="view1")
    assert_allclose(predicted.cpu().numpy(), expected, atol=10 * atol)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_times(dtype, capsys):
    host, there = pairs(200_000, 512, 384, dtype)
    seconds = {}
    for name, views in (("CPU", host), ("CUDA", there)):
        with config_context(array_api_dispatch=name == "CUDA"):
            CCAMapper(64).fit(views[:5000])  # warm
            torch.cuda.synchronize()
            start = time.perf_counter()
            mapper = CCAMapper(64).fit(views)
            torch.cuda.synchronize()
            middle = time.perf_counter()
            mapper.transform(views)
            torch.cuda.synchronize()
            seconds[name] = middle - start, time.perf_counter() - middle
    with capsys.disabled():
        for name, (fit, transform) in seconds.items():
            print(f"\n{dtype} {name}: fit {fit:.2f} s, transform {transform:.2f} s")
