"""Checkpoints: a killed fit, called again, ends in the bits of one that was not.

Run as a script, the file is what is killed: it imports torch once and forks a child for
each life of a fit. ``test_checkpoint.py kills FOLDER N`` kills N times at random
moments, ``test_checkpoint.py points FOLDER`` at each system call of a write, and
``test_checkpoint.py interrupt FOLDER`` breaks a fit off by Ctrl-C.
"""

import functools
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from unittest import mock

import numpy as np
import pytest
from scipy import sparse
from sklearn.preprocessing import StandardScaler

torch = pytest.importorskip("torch")

from skmeta.exceptions import CorruptFileError, FileVersionError  # noqa: E402
from skmeta.nn import checkpoint as module  # noqa: E402
from skmeta.nn import training  # noqa: E402
from skmeta.nn.checkpoint import Checkpoint, fingerprint, generators_of  # noqa: E402
from skmeta.nn.data import epoch_batches  # noqa: E402
from skmeta.nn.encoders import MLP  # noqa: E402
from skmeta.nn.losses import info_nce  # noqa: E402
from skmeta.nn.training import Plan, train  # noqa: E402

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")

PLAN = Plan(
    batch_size=60,
    max_iter=60,
    learning_rate=0.02,
    weight_decay=0.01,
    warmup=0.1,
    schedule="cosine",
    max_norm=1.0,
    n_iter_no_change=12,
    tol=1e-4,
)


class Pair(torch.nn.Module):
    """Two encoders with dropout, one with running means, a learned temperature."""

    def __init__(self, generator):
        super().__init__()
        options = {"activation": "relu", "layer_norm": True, "generator": generator}
        first, second = (MLP(n, (16,), 4, dropout=0.2, **options) for n in (6, 8))
        second = torch.nn.Sequential(torch.nn.BatchNorm1d(8), second)
        self.encoders = torch.nn.ModuleList([first, second])
        self.log_scale = torch.nn.Parameter(torch.tensor(1.0))


class Noisy:
    """Rows of two views, to which a generator adds noise."""

    def __init__(self, arrays, generator):
        self.arrays = [torch.tensor(X, dtype=torch.float32) for X in arrays]
        self.generator = generator

    def batches(self, rows, batch_size, rng):
        return epoch_batches(rows, batch_size, rng)

    def batch(self, index):
        rows = [X[index] for X in self.arrays]
        noise = torch.empty_like(rows[0]).normal_(0, 0.1, generator=self.generator)
        return [rows[0] + noise, rows[1]]


def objective(space, batch):
    Za, Zb = (f(X) for f, X in zip(space.encoders, batch, strict=True))
    return info_nce(Za, Zb, log_scale=space.log_scale)


def fit(path, rng=None, plan=PLAN, name="fit", **options):
    """Space and history of the same fit every time."""
    rng = rng or np.random.RandomState(0)
    U = rng.randn(150, 3)
    arrays = [U @ rng.randn(3, n) + rng.randn(150, n) for n in (6, 8)]
    seed = int(rng.randint(2**31 - 1))
    space = Pair(torch.Generator().manual_seed(seed))
    noise = torch.Generator().manual_seed(seed + 1)
    data = Noisy(arrays, noise)

    @torch.no_grad()
    def score(space):
        space.eval()
        return -objective(space, [X[120:] for X in data.arrays]).item()

    options = {"generators": (noise,), "score": score, **options}
    if path is not None:
        options["checkpoint"] = Checkpoint(path, name)
    rows = np.arange(120)
    # Short fits, many epochs: a pass is two steps, and twelve of them are patience.
    with mock.patch.object(training, "MIN_STEPS_NO_CHANGE", 0):
        return space, train(space, objective, data, rows, plan, rng, **options)


def digest(space, history):
    checksum = hashlib.sha256(repr(history[:4]).encode())
    weights = {name: value.numpy() for name, value in space.state_dict().items()}
    for arrays in (weights, history.optimiser_state):
        for name in sorted(arrays):
            checksum.update(name.encode() + arrays[name].tobytes())
    return checksum.hexdigest()


class Stop(Exception):
    """A fit is broken off."""


def stop_after(n, error=Stop):
    def on_epoch(epoch, loss, score):
        if epoch == n:
            raise error

    return on_epoch


@pytest.fixture(scope="module")
def unbroken():
    space, history = fit(None)
    # It stops early, with the weights of an epoch before the last.
    assert history.converged and history.best < len(history.losses) - 1 < 59
    return digest(space, history)


# ---- killed --------------------------------------------------------------------------


def run_as_script(*arguments):
    given = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def fates(tmp_path_factory):
    if torch.cuda.is_available():
        pytest.skip("a process that has used CUDA cannot fork")
    return run_as_script("interrupt", tmp_path_factory.mktemp("fates"))


@pytest.mark.slow
@needs_fork
def test_fault_54_killed_two_hundred_times_it_ends_in_the_same_bits(tmp_path):
    found = run_as_script("kills", tmp_path, 200)
    assert found["kills"] == 200 and found["resumed"] > 50
    assert set(found["digests"]) == {found["unbroken"]}


@pytest.mark.slow
@needs_fork
def test_fault_54_killed_at_each_step_of_a_write_it_ends_in_the_same_bits(tmp_path):
    found = run_as_script("points", tmp_path)
    assert found["kills"] == len(POINTS)
    assert set(found["digests"]) == {found["unbroken"]}
    assert found["left"] == [str(i) for i in range(len(POINTS))]


@needs_fork
def test_fault_53_ctrl_c_leaves_the_checkpoint(fates):
    found = fates["interrupt"]
    assert found["ended_by"] == "KeyboardInterrupt" and found["epochs"] > 0
    assert found["digests"] == [found["unbroken"]]


@needs_fork
def test_a_fingerprint_is_the_same_in_every_process(fates):
    assert fates["fingerprint"] == a_fingerprint()


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_fault_53_keyboard_interrupt_goes_through(tmp_path, unbroken, epoch):
    path = tmp_path / "fit"
    with pytest.raises(KeyboardInterrupt):
        fit(path, on_epoch=stop_after(epoch, KeyboardInterrupt))
    assert path.exists() == (epoch > 0)
    assert digest(*fit(path)) == unbroken
    assert os.listdir(tmp_path) == ["fit"]


def test_a_fit_in_many_pieces_is_that_of_one_piece(tmp_path, unbroken):
    lives = 0
    while True:
        lives += 1
        begun = []
        try:
            found = fit(
                tmp_path / "fit",
                on_epoch_begin=begun.append,
                on_epoch=lambda *_, begun=begun: stop_after(begun[0] + 2)(*_),
            )
        except Stop:
            continue
        break
    assert lives > 5
    assert digest(*found) == unbroken


def test_a_finished_fit_returns_at_once(tmp_path, unbroken):
    path = tmp_path / "fit"
    assert digest(*fit(path)) == unbroken
    content, written = path.read_bytes(), path.stat().st_mtime_ns

    def never(*_):
        raise AssertionError("it trains")

    assert digest(*fit(path, on_epoch_begin=never, score=never)) == unbroken
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, written)


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "Philox", "SFC64"])
def test_every_numpy_generator_goes_on(tmp_path, kind):
    class Rng(np.random.Generator):
        randn = np.random.Generator.standard_normal
        randint = np.random.Generator.integers

    def rng():
        made = Rng(getattr(np.random, kind)(0))
        made.randn = lambda *shape: made.standard_normal(shape)
        return made

    plan = PLAN._replace(max_iter=4)
    with pytest.raises(Stop):
        fit(tmp_path / "fit", rng(), plan, on_epoch=stop_after(2))
    resumed = fit(tmp_path / "fit", rng(), plan)
    assert digest(*resumed) == digest(*fit(None, rng(), plan))


def test_fault_36_global_generators_are_left_alone(tmp_path):
    before = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    for _ in range(2):
        fit(tmp_path / "fit", plan=PLAN._replace(max_iter=2))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == repr(np.random.get_state())  # noqa: NPY002


def test_a_global_generator_goes_on_where_it_is_given(tmp_path):
    def run(path, **options):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            score = lambda space: torch.rand(()).item()  # noqa: E731
            return fit(
                path, score=score, generators=(torch.default_generator,), **options
            )

    # The noise is not given here, so that a score is all that can be compared.
    scores = run(None)[1].scores
    with pytest.raises(Stop):
        run(tmp_path / "fit", on_epoch=stop_after(3))
    assert run(tmp_path / "fit")[1].scores == scores


# ---- the file ------------------------------------------------------------------------


def some_checkpoint(path):
    with pytest.raises(Stop):
        fit(path, on_epoch=stop_after(2))
    return path.read_bytes()


def test_fault_57_a_file_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / "fit"
    content = some_checkpoint(path)
    for n in [0, 1, 7, 8, 39, 40, 41, 200, len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:n])
        with pytest.raises(CorruptFileError, match="fit'.*(D|d)elete it to start anew"):
            fit(path)


def test_fault_58_a_flipped_bit_is_refused(tmp_path):
    path = tmp_path / "fit"
    content = some_checkpoint(path)
    rng = np.random.RandomState(0)
    for place in [*range(0, 60, 7), *rng.randint(len(content), size=40)]:
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.randint(8)
        path.write_bytes(flipped)
        with pytest.raises(CorruptFileError, match="fit'.*(D|d)elete it to start anew"):
            fit(path)


def signed(line, payload):
    body = line + b"\n" + payload
    return module.MARK + hashlib.sha256(body).digest() + body


def test_fault_59_nothing_is_unpickled(tmp_path):
    path = tmp_path / "fit"
    np.savez(tmp_path / "evil.npz", values=np.array([Stop], dtype=object))
    header = json.dumps({"format": 1, "fingerprint": "fit"}).encode()
    path.write_bytes(signed(header, (tmp_path / "evil.npz").read_bytes()))
    with pytest.raises(CorruptFileError, match="arrays cannot be read"):
        fit(path)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_fault_60_a_header_that_makes_no_sense(tmp_path, line):
    path = tmp_path / "fit"
    path.write_bytes(signed(line, b""))
    with pytest.raises(CorruptFileError, match="header cannot be read"):
        fit(path)


def test_fault_61_another_format_names_itself(tmp_path):
    path = tmp_path / "fit"
    path.write_bytes(signed(b'{"format": 7, "fingerprint": "fit"}', b""))
    with pytest.raises(FileVersionError, match="format 7"):
        fit(path)


def test_a_model_is_no_checkpoint_and_stays(tmp_path):
    pytest.importorskip("skops")
    import skmeta

    path = tmp_path / "model"
    skmeta.save(StandardScaler().fit([[1.0], [2.0]]), path)
    with pytest.raises(CorruptFileError, match="no checkpoint of a fit"):
        fit(path)
    skmeta.load(path)
    some_checkpoint(tmp_path / "fit")
    with pytest.raises(CorruptFileError, match="no file of skmeta.save"):
        skmeta.load(tmp_path / "fit")


def test_the_checkpoint_of_another_fit_is_refused(tmp_path):
    some_checkpoint(tmp_path / "fit")
    with pytest.raises(ValueError, match=r"fit' belongs to another fit.*another path"):
        fit(tmp_path / "fit", name="other")
    with pytest.raises(ValueError, match="random_state is no number"):
        fit(tmp_path / "fit", np.random.RandomState(1))


def test_a_fit_from_other_weights_is_another_fit(tmp_path, monkeypatch):
    path = tmp_path / "fit"
    fit(path, plan=PLAN._replace(max_iter=1))

    class Warm(Pair):
        def __init__(self, generator):
            super().__init__(generator)
            self.log_scale.data += 1

    monkeypatch.setitem(globals(), "Pair", Warm)
    with pytest.raises(ValueError, match="first weights"):
        fit(path, plan=PLAN._replace(max_iter=1))


def test_a_folder_that_is_not_there_is_said_before_the_fit(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no folder"):
        fit(tmp_path / "none" / "fit", on_epoch_begin=stop_after)


def test_fault_56_a_write_that_fails_leaves_the_file(tmp_path, monkeypatch):
    path = tmp_path / "fit"
    content = some_checkpoint(path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fit(path)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["fit"]


def test_what_a_killed_write_left_goes(tmp_path):
    (tmp_path / ".fit-0123.tmp").write_bytes(b"half")
    (tmp_path / ".other-0123.tmp").write_bytes(b"half")
    fit(tmp_path / "fit", plan=PLAN._replace(max_iter=1))
    assert sorted(os.listdir(tmp_path)) == [".other-0123.tmp", "fit"]


def test_fault_19_any_name(tmp_path):
    path = tmp_path / "模型 [1]*\N{FAMILY}"
    content = some_checkpoint(path)
    assert Checkpoint(path, "fit").read() is not None
    assert content[:8] == module.MARK


# ---- fingerprints --------------------------------------------------------------------


def test_generators_are_found_once():
    one, other = torch.Generator(), torch.Generator()
    assert generators_of(Pair(one)) == [one]
    assert generators_of(torch.nn.ModuleList([Pair(one), Pair(other)])) == [one, other]


def a_fingerprint():
    names = {"b", "c", "d", "e"}
    values = [names, StandardScaler(), json.dumps, object(), np.random.RandomState(0)]
    return fingerprint(dict(enumerate(values)), [A])


def square(x):
    return x * x


A = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    "one, other",
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": True}, {"a": 1}),
        ({"a": "1"}, {"a": 1}),
        ({"a": None}, {"a": "None"}),
        ({"a": (1, 2)}, {"a": (1, 3)}),
        ({"a": ("b", "c")}, {"a": ("bc",)}),
        ({"a": [[1], 2]}, {"a": [[1, 2]]}),
        ({"a": square}, {"a": len}),
        ({"a": lambda x: x + x}, {"a": lambda x: x * x}),
        ({"a": functools.partial(square, 1)}, {"a": functools.partial(square, 2)}),
        ({"a": StandardScaler()}, {"a": StandardScaler(with_mean=False)}),
        ({"a": np.random.RandomState(0)}, {"a": np.random.RandomState(1)}),
        ({"a": A}, {"a": A + 1}),
    ],
)
def test_other_parameters_are_another_fit(one, other):
    assert fingerprint(one, [A]) == fingerprint(one, [A.copy()])
    assert fingerprint(one, [A]) != fingerprint(other, [A])


@pytest.mark.parametrize(
    "array",
    [
        A,
        A.astype(np.float32),
        A.reshape(4, 3),
        A + 1e-12,
        A[:0],
        np.ones((3, 0)),
        np.array(1.0),
        np.asfortranarray(A)[::-1],
        A > 3,
        A.astype(str),
        A.astype(str).astype(object),
        sparse.csr_array(A),
        sparse.csc_array(A + 1),
    ],
    ids=repr,
)
def test_other_data_are_another_fit(array):
    base = np.zeros_like(A)
    assert fingerprint({}, [base, array]) == fingerprint({}, [base, array.copy()])
    assert fingerprint({}, [base, array]) != fingerprint({}, [base, base])


def test_modules_are_told_apart_by_their_weights():
    one, other = (Pair(torch.Generator().manual_seed(i)) for i in (0, 1))
    same = Pair(torch.Generator().manual_seed(0))
    assert fingerprint({"a": one}, []) == fingerprint({"a": same}, [])
    assert fingerprint({"a": one}, []) != fingerprint({"a": other}, [])


def test_of_a_large_array_rows_from_end_to_end_count(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "MAX_HASHED_BYTES", 8000)
    X = np.random.RandomState(0).randn(1000, 10)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    whole = fingerprint({}, [X])
    assert fingerprint({}, [mapped]) == whole
    assert fingerprint({}, [X[:-1]]) != whole
    changed = X.copy()
    changed[500] += 1
    assert fingerprint({}, [changed]) != whole


# ---- what is killed ------------------------------------------------------------------

POINTS = [
    (name, after) for name in ("open", "fsync", "replace") for after in (False, True)
]


def life(path, results, before=lambda: None, plan=PLAN):
    """A child that fits and leaves its digest, or how it ended."""
    pid = os.fork()
    if pid:
        return pid
    try:
        before()
        line = digest(*fit(path, plan=plan))
    except KeyboardInterrupt:
        line = "KeyboardInterrupt"
    with open(results, "a") as file:
        file.write(line + "\n")
    os._exit(0)


def is_over(pid, seconds):
    """Wait at most so long for a child, then kill it."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return True
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def kills(folder, n):
    start = time.perf_counter()
    unbroken = digest(*fit(None))
    whole = time.perf_counter() - start
    path, results = os.path.join(folder, "fit"), os.path.join(folder, "results")
    delays, done, resumed = random.Random(0), 0, 0
    while done < n:
        resumed += os.path.exists(path)
        if is_over(life(path, results), delays.uniform(0, whole / 3)):
            os.unlink(path)
        else:
            done += 1
    os.waitpid(life(path, results), 0)
    return {"kills": done, "resumed": resumed, **_digests(results, unbroken)}


def points(folder):
    """Die at the third of each system call of a write, before it or after."""
    plan = PLAN._replace(max_iter=6)
    unbroken, done = digest(*fit(None, plan=plan)), 0
    results = os.path.join(folder, "results")
    for i, (name, after) in enumerate(POINTS):

        def before(name=name, after=after):
            plain, calls = getattr(os, name), []

            def deadly(*arguments):
                calls.append(arguments)
                if len(calls) == 3 and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = plain(*arguments)
                if len(calls) == 3:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            setattr(os, name, deadly)

        path = os.path.join(folder, str(i))
        status = os.waitpid(life(path, results, before, plan), 0)[1]
        done += os.WIFSIGNALED(status)
        os.waitpid(life(path, results, plan=plan), 0)
    left = sorted(set(os.listdir(folder)) - {"results"})
    return {"kills": done, "left": left, **_digests(results, unbroken)}


def interrupt(folder):
    unbroken = digest(*fit(None))
    path, results = os.path.join(folder, "fit"), os.path.join(folder, "results")
    pid = life(path, results)
    while not os.path.exists(path):
        time.sleep(0.001)
    time.sleep(0.05)
    os.kill(pid, signal.SIGINT)
    os.waitpid(pid, 0)
    with open(results) as file:
        ended_by = file.read().strip()
    os.unlink(results)
    epochs = len(Checkpoint(path, "fit").read()[0]["standing"]["losses"])
    os.waitpid(life(path, results), 0)
    found = _digests(results, unbroken)
    return {"ended_by": ended_by, "epochs": epochs, **found}


def _digests(results, unbroken):
    with open(results) as file:
        return {"digests": file.read().split(), "unbroken": unbroken}


if __name__ == "__main__":
    torch.set_num_threads(1)
    kind, folder, *n = sys.argv[1:]
    if kind == "kills":
        print(json.dumps(kills(folder, int(*n))))
    elif kind == "points":
        print(json.dumps(points(folder)))
    else:
        found = {"interrupt": interrupt(folder), "fingerprint": a_fingerprint()}
        print(json.dumps(found))
