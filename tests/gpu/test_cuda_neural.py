"""Neural mappers on CUDA beside the CPU: the same answers, and how long they take.

``pytest tests/gpu -s`` on a machine with a GPU; skipped without one.
"""

import time

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import skmeta
from skmeta import NeuralSharedSpaceMapper, Views
from skmeta.datasets import make_paired_views

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute"),  # within torch.compile
]


def images_and_numbers(n=400):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(n, 3, 16, 16)).astype(np.float32)
    return Views(image=images, numbers=images.reshape(n, -1)[:, :20])


def make(device, **options):
    return NeuralSharedSpaceMapper(
        8,
        hidden_layer_sizes=(32,),
        max_iter=5,
        device=device,
        random_state=0,
        **{"dropout": 0.0, **options},  # its masks are drawn on the device
    )


@pytest.mark.parametrize(
    "loss", ["info_nce", "siglip", "triplet", "cca", "cca_ey", "vicreg", "supcon"]
)
def test_cuda_trains_as_the_cpu(loss):
    views = make_paired_views(500, random_state=0).views
    y = np.arange(500) % 3
    host, there = (make(d, loss=loss).fit(views, y) for d in ("cpu", "cuda"))
    assert_allclose(there.loss_curve_, host.loss_curve_, rtol=1e-2)


def test_the_seed_is_all_there_is(tmp_path):
    views = make_paired_views(500, random_state=0).views
    first, again = (make("cuda", dropout=0.5).fit(views) for _ in range(2))
    assert_array_equal(again.transform(views), first.transform(views))


@pytest.mark.parametrize("encoder", ["conv4", "resnet"])
def test_images_with_augmentation(encoder):
    views = images_and_numbers()
    options = {"encoders": {"image": encoder}, "augment": {"image": "affine"}}
    host, there = (make(d, **options).fit(views) for d in ("cpu", "cuda"))
    assert_allclose(there.loss_curve_, host.loss_curve_, rtol=0.05)


def test_fault_65_saved_on_a_gpu_loaded_on_the_host(tmp_path):
    views = images_and_numbers()
    mapper = make("cuda", encoders={"image": "conv4"}).fit(views)
    skmeta.save(mapper, tmp_path / "model")
    assert_array_equal(
        skmeta.load(tmp_path / "model").transform(views), mapper.transform(views)
    )


def test_a_fit_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    from skmeta.nn.checkpoint import Checkpoint

    views = make_paired_views(500, random_state=0).views
    whole = make("cuda", dropout=0.2).fit(views).transform(views)
    write, count = Checkpoint.write, []

    def stops(self, *given):
        write(self, *given)
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "write", stops)
    mapper = make("cuda", dropout=0.2, checkpoint=tmp_path / "fit")
    with pytest.raises(KeyboardInterrupt):
        mapper.fit(views)
    assert_array_equal(mapper.fit(views).transform(views), whole)


@pytest.mark.parametrize("compiled", [False, True], ids=["", "compiled"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("batch_size", [512, 4096])
def test_times(precision, compiled, batch_size, capsys):
    """Seconds of a pass over 100,000 rows: of five passes less those of one."""
    rng = np.random.default_rng(0)
    views = Views(
        a=rng.normal(size=(100_000, 384)).astype(np.float32),
        b=rng.normal(size=(100_000, 512)).astype(np.float32),
    )
    line = []
    for device in ("cuda",) if compiled else ("cpu", "cuda"):
        seconds = []
        for passes in (1, 6) if device == "cuda" else (1, 2):
            mapper = NeuralSharedSpaceMapper(
                64,
                batch_size=batch_size,
                max_iter=passes,
                early_stopping=False,
                precision=precision,
                compile=compiled,
                device=device,
                random_state=0,
            )
            start = time.perf_counter()
            mapper.fit(views)
            seconds.append(time.perf_counter() - start)
        one = (seconds[1] - seconds[0]) / (passes - 1)
        line.append(f"{device} {one:.3f} s a pass, {seconds[0]:.1f} s the first fit")
    with capsys.disabled():
        print(f"\n{precision}{' compiled' * compiled}, batch {batch_size}: ", end="")
        print("; ".join(line))
