"""Fits of neural mappers that are interrupted, kept and taken up again."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

import skmeta
from skmeta import NeuralSharedSpaceMapper, Views
from skmeta.datasets import make_paired_views
from skmeta.exceptions import CorruptFileError, UntrustedTypeError

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def images_and_numbers(n=80):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, size=(n, 3, 8, 8)).astype(np.uint8)
    return Views(image=images, numbers=rng.normal(size=(n, 6)))


def labels(n=80):
    return np.array(["left", "right"])[np.arange(n) % 2]


def make(n_components=4, **options):
    given = {"hidden_layer_sizes": (16,), "max_iter": 6}
    given |= {"dropout": 0.0, "random_state": 0}
    return NeuralSharedSpaceMapper(n_components, **{**given, **options})


KINDS = [
    {"encoders": {"image": "conv4"}, "augment": {"image": "affine"}, "dropout": 0.2},
    {"encoders": {"image": "resnet"}, "loss": "cross_entropy", "alignment": 0.5},
    {"loss": "cca", "augment": {"numbers": "noise"}},
]


# ---- files of models -----------------------------------------------------------------


@pytest.mark.parametrize("options", KINDS)
def test_saved_and_loaded_it_is_the_same_to_the_bit(options, tmp_path):
    pytest.importorskip("skops")
    views = images_and_numbers()
    mapper = make(**options).fit(views, labels())
    skmeta.save(mapper, tmp_path / "model")
    loaded = skmeta.load(tmp_path / "model")
    assert_array_equal(loaded.transform(views), mapper.transform(views))
    if "alignment" in options:
        assert_array_equal(loaded.predict_proba(views), mapper.predict_proba(views))


def test_a_module_of_ones_own_is_not_saved_and_the_error_says_so(tmp_path):
    pytest.importorskip("skops")
    encoders = {"numbers": torch.nn.Linear(6, 4)}
    mapper = make(encoders=encoders).fit(images_and_numbers())
    with pytest.raises(UntrustedTypeError, match="Linear is a module of torch"):
        skmeta.save(mapper, tmp_path / "model")


def test_built_in_encoders_need_no_torch_once_fitted(tmp_path):
    pytest.importorskip("skops")
    views = images_and_numbers()
    mapper = make(**KINDS[1]).fit(views, labels())
    skmeta.save(mapper, tmp_path / "model")
    np.savez(tmp_path / "views", **dict(views.items()))
    code = f"""
import sys
class NotInstalled:
    def find_spec(name, path, target=None):
        if name == "torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NotInstalled)
import numpy as np, skmeta
views = skmeta.Views(**np.load({str(tmp_path / "views.npz")!r}))
mapper = skmeta.load({str(tmp_path / "model")!r})
np.save({str(tmp_path / "Z.npy")!r}, mapper.predict_proba(views))
print("torch" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.split() == ["False"], run.stderr
    assert_array_equal(np.load(tmp_path / "Z.npy"), mapper.predict_proba(views))


def test_pieces_go_on_after_saving(tmp_path):
    pytest.importorskip("skops")
    views = images_and_numbers()
    mapper = make(dropout=0.2).partial_fit(views)
    skmeta.save(mapper, tmp_path / "model")
    loaded = skmeta.load(tmp_path / "model").partial_fit(views)
    assert_array_equal(
        loaded.transform(views), mapper.partial_fit(views).transform(views)
    )


# ---- checkpoints ---------------------------------------------------------------------


def interrupted_at(n, monkeypatch):
    """Ctrl-C once, after a number of writes; the list grows with each write."""
    from skmeta.nn.checkpoint import Checkpoint

    write, count = Checkpoint.write, []

    def stops(self, *given):
        write(self, *given)
        count.append(1)
        if len(count) == n:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "write", stops)
    return count


@pytest.mark.parametrize("options", KINDS)
def test_a_fit_that_stopped_goes_on_to_the_same_bits(options, tmp_path, monkeypatch):
    views = images_and_numbers()
    whole = make(**options).fit(views, labels())
    mapper = make(**options, checkpoint=tmp_path / "fit")
    count = interrupted_at(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        mapper.fit(views, labels())
    assert not hasattr(mapper, "encoders_")
    mapper.fit(views, labels())
    assert len(count) == whole.n_iter_
    assert_array_equal(mapper.transform(views), whole.transform(views))
    assert mapper.loss_curve_ == whole.loss_curve_
    assert mapper.validation_scores_ == whole.validation_scores_
    again = clone(mapper).fit(views, labels())
    assert len(count) == whole.n_iter_  # there at once
    assert_array_equal(again.transform(views), whole.transform(views))


def test_modules_of_ones_own_go_on_too(tmp_path, monkeypatch):
    def encoder():
        return torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Linear(6, 4))

    views = images_and_numbers()
    options = {"encoders": {"numbers": encoder}}
    whole = make(**options).fit(views)
    interrupted_at(2, monkeypatch)
    mapper = make(**options, checkpoint=tmp_path / "fit")
    with pytest.raises(KeyboardInterrupt):
        mapper.fit(views)
    torch.rand(5)  # the generator stands elsewhere when it goes on
    assert_array_equal(mapper.fit(views).transform(views), whole.transform(views))


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    views = images_and_numbers()
    mapper = make(checkpoint=tmp_path / "fit").fit(views)
    for other, rows in (
        (clone(mapper).set_params(learning_rate_init=0.1), views),
        (clone(mapper), views[1:]),
        (clone(mapper).set_params(loss="supcon"), views),
    ):
        with pytest.raises(ValueError, match="belongs to another fit"):
            other.fit(rows, labels(len(rows)))
    (tmp_path / "fit").write_bytes((tmp_path / "fit").read_bytes()[:-9])
    with pytest.raises(CorruptFileError, match="Delete it to start anew"):
        mapper.fit(views)
    with pytest.raises(FileNotFoundError, match="is no folder"):
        make(checkpoint=tmp_path / "nowhere" / "fit").fit(views)


SCRIPT = """
import sys, warnings
import numpy as np
from skmeta import NeuralSharedSpaceMapper
from skmeta.datasets import make_paired_views

warnings.simplefilter("ignore")
views = make_paired_views(400, random_state=0).views
mapper = NeuralSharedSpaceMapper(
    4, hidden_layer_sizes=(16,), dropout=0.2, max_iter=100, n_iter_no_change=100,
    batch_size=64, random_state=0, checkpoint=sys.argv[1],
)
print("begins", flush=True)
mapper.fit(views)
np.save(sys.argv[2], mapper.transform(views))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(signal.SIGINT, id="test_fault_53_ctrl_c"),
        pytest.param(signal.SIGKILL, id="test_fault_54_kill"),
    ],
)
def test_fault_53_and_54_a_fit_in_a_process_that_ends(sent, tmp_path):
    path, result = tmp_path / "fit", tmp_path / "Z.npy"
    command = [sys.executable, "-c", SCRIPT, str(path), str(result)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True
    )
    limit = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(0.05)
    process.send_signal(sent)
    _, error = process.communicate(timeout=60)
    assert process.returncode != 0 and not result.exists()
    if sent == signal.SIGINT:
        assert "KeyboardInterrupt" in error
    assert path.exists()
    subprocess.run(command, env=environment, check=True, timeout=120)
    views = make_paired_views(400, random_state=0).views
    whole = NeuralSharedSpaceMapper(
        4,
        hidden_layer_sizes=(16,),
        dropout=0.2,
        max_iter=100,
        n_iter_no_change=100,
        batch_size=64,
        random_state=0,
    ).fit(views)
    assert_array_equal(np.load(result), whole.transform(views))


# ---- precision -----------------------------------------------------------------------


def test_bf16_and_compiled_fits_come_close(tmp_path):
    views = make_paired_views(300, random_state=0).views
    plain = make(max_iter=20).fit(views)
    half = make(max_iter=20, precision="bf16").fit(views)
    assert half.loss_curve_ != plain.loss_curve_
    np.testing.assert_allclose(half.loss_curve_, plain.loss_curve_, rtol=0.05)
