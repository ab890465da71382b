"""`save` and `load`: equal bits, no code, and what happens to damaged files.

Tests of faults carry the number of their row in the table.
"""

import errno
import hashlib
import io
import json
import os
import pickle
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
)
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import skmeta
from skmeta import CCAMapper, CCAMapperCV, CrossModalRetriever, Views, _file
from skmeta.datasets import make_paired_views
from skmeta.exceptions import CorruptFileError, FileVersionError, UntrustedTypeError
from skmeta.metrics import RetrievalScorer
from skmeta.persistence import _trust
from skmeta.persistence._pack import Packed

sio = pytest.importorskip("skops.io")

GOLDEN = Path(__file__).parent / "golden"

WIDE = "größe 😀 数 \u202eא"  # beyond the basic plane, and from right to left


def views_of(n=80, seed=0, names=("a", "b")):
    made = make_paired_views(n, random_state=seed).views
    return Views.from_dict(dict(zip(names, made.values(), strict=True)))


def three_views(n=80):
    rng = np.random.default_rng(1)
    z = rng.standard_normal((n, 2))
    make = lambda p: z @ rng.standard_normal((2, p)) + rng.standard_normal((n, p))  # noqa: E731
    views = {"a": make(4), "b": make(5), "c": make(3)}
    views["a"][:20] = np.nan
    views["c"][30:50] = np.nan
    return Views.from_dict(views)


def table(n=60):
    rng = np.random.default_rng(2)
    words = np.array(["red", "grün", "blau", "数", "😀", "small", "large", "old"])
    frame = pd.DataFrame(
        {
            WIDE: rng.standard_normal(n),
            "weight": rng.standard_normal(n),
            "kind": rng.choice(["x", "y", "ż"], n),
            "text": [" ".join(rng.choice(words, 5)) for _ in range(n)],
        }
    )
    frame.loc[3, "weight"] = np.nan
    frame["text"] = frame["text"].astype(object)
    frame.loc[5, "text"] = None
    labels = np.where(frame[WIDE] > 0, "oui 😀", "nein")
    return frame, labels


def columns():
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    text = make_pipeline(TfidfVectorizer(max_features=7, token_pattern=r"\S+"))
    return ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include=float)),
            ("kind", OneHotEncoder(handle_unknown="ignore"), ["kind"]),
            ("text", text, "text"),
        ]
    )


V = views_of()
X, Y = V["a"], V["b"]
FRAME, LABELS = table()
BY_COLUMNS = CCAMapper(2, views=columns())
PAIR = Views(X=X, Y=Y)

# A fitted estimator, and what it says of the rows it is given.
CASES = {
    "pair": lambda: (CCAMapper(2).fit(X, Y), lambda m: m.transform(X, Y)),
    "pair 1d": lambda: (CCAMapper().fit(X, Y[:, 0]), lambda m: m.predict(X)),
    "pair float32": lambda: (
        CCAMapper(2).fit(X.astype("f4"), Y.astype("f4")),
        lambda m: m.transform(X.astype("f4"), Y.astype("f4")),
    ),
    "views": lambda: (CCAMapper(3).fit(V), lambda m: m.transform(V)),
    "cross-validated": lambda: (
        CCAMapperCV([0.1, "auto"], n_components=[1, None], cv=2).fit(V),
        lambda m: (m.transform(V), m.best_params_, m.cv_results_["mean_test_score"]),
    ),
    "posterior": lambda: (
        CCAMapper(2, fusion="posterior", shrinkage={"a": 0.1}).fit(V),
        lambda m: (m.transform(V), m.score_samples(V), m.predict_view(V, target="a")),
    ),
    "three with gaps": lambda: (
        CCAMapper(2).fit(three_views()),
        lambda m: m.transform(three_views()),
    ),
    "dict": lambda: (
        CCAMapper(2, views={"p": slice(0, 4), "q": np.arange(4, 9)}).fit(X),
        lambda m: m.transform(X),
    ),
    "dict of names": lambda: (
        CCAMapper(1, views={WIDE: WIDE, "q": ["weight"]}).fit(FRAME.drop(index=3)),
        lambda m: m.transform(FRAME.drop(index=3)),
    ),
    "columns": lambda: (
        BY_COLUMNS.fit(FRAME),
        lambda m: (m.transform(FRAME), m.transform_view(FRAME.drop(index=5), "text")),
    ),
    "sparse": lambda: (
        CCAMapper(2).fit(Views(a=sparse.csr_array(np.maximum(X, 0)), b=Y)),
        lambda m: m.transform(V),
    ),
    "fixed text": lambda: (
        CCAMapper(
            1,
            views=ColumnTransformer(
                [
                    ("t", HashingVectorizer(n_features=8), "text"),
                    ("n", FunctionTransformer(np.exp), [WIDE]),
                ]
            ),
        ).partial_fit(FRAME),
        lambda m: m.partial_fit(FRAME).transform(FRAME),
    ),
    "pending": lambda: (
        CCAMapper(2).partial_fit(V[:40]),
        lambda m: m.partial_fit(V[40:]).transform(V),
    ),
    "merge": lambda: (
        CCAMapper(2, keep_moments=True).fit(V[:40]),
        lambda m: m.merge(CCAMapper(2).fit(V[40:])).transform(V),
    ),
    "set_output": lambda: (
        CCAMapper(2).set_output(transform="pandas").fit(V),
        lambda m: m.transform(V).to_numpy(),
    ),
    "retriever": lambda: (
        CrossModalRetriever(CCAMapper(2), k=3).fit(V),
        lambda r: (*r.kneighbors(X), r.score(V)),
    ),
    "retriever, mahalanobis": lambda: (
        CrossModalRetriever(CCAMapper(2), k=3, metric="mahalanobis").fit(V),
        lambda r: r.kneighbors(X),
    ),
    "retriever, csls": lambda: (
        CrossModalRetriever(CCAMapper(2), k=3, hubness="csls").fit(V),
        lambda r: r.kneighbors(X),
    ),
    "retriever, names": lambda: (
        CrossModalRetriever(CCAMapper(2), k=3)
        .fit(V)
        .set_gallery(Y[:3], ids=[1, WIDE, ("a", None)]),
        lambda r: r.kneighbors(X),
    ),
    "retriever, index": lambda: (
        CrossModalRetriever(CCAMapper(2), k=3, index=NearestNeighbors()).fit(V),
        lambda r: r.kneighbors(X),
    ),
    "pipeline": lambda: (
        make_pipeline(BY_COLUMNS, LogisticRegression()).fit(FRAME, LABELS),
        lambda p: (p.predict_proba(FRAME), p.predict(FRAME)),
    ),
    "pipeline, neighbours": lambda: (
        make_pipeline(
            CCAMapper(2, views={"a": [0, 1], "b": [2, 3, 4]}),
            SelectKBest(f_classif, k=3),
            KNeighborsClassifier(),
        ).fit(X, np.arange(len(X)) % 3),
        lambda p: p.predict_proba(X),
    ),
    "weights of bool": lambda: (
        make_pipeline(
            CCAMapper(2, views={"a": [0, 1], "b": [2, 3]}),
            LogisticRegression(class_weight={False: 1.0, True: 3.0}),
        ).fit(X, X[:, 0] > 0),
        lambda p: p.predict_proba(X),
    ),
    "search": lambda: (
        GridSearchCV(
            CCAMapper(),
            {"n_components": [1, 2], "shrinkage": [0.1, "auto"]},
            scoring=RetrievalScorer(k=3),
            cv=KFold(3, shuffle=True, random_state=np.random.RandomState(0)),
        ).fit(V),
        lambda s: s.transform(V),
    ),
    "search of a pipeline": lambda: (
        GridSearchCV(
            make_pipeline(BY_COLUMNS, LogisticRegression()),
            {"ccamapper__n_components": [1, 2]},
            scoring={
                "f": make_scorer(fbeta_score, beta=2, pos_label="nein"),
                "a": "accuracy",
            },
            refit="f",
            cv=StratifiedKFold(2),
        ).fit(FRAME, LABELS),
        lambda s: s.predict_proba(FRAME),
    ),
    "search of a retriever": lambda: (
        RandomizedSearchCV(
            CrossModalRetriever(CCAMapper()),
            {"metric": ["cosine", "dot"], "mapper__shrinkage": [0.1, 0.5]},
            n_iter=2,
            random_state=0,
            cv=2,
        ).fit(PAIR),
        lambda s: s.best_estimator_.kneighbors(X),
    ),
    "frozen": lambda: (
        CrossModalRetriever(FrozenEstimator(CCAMapper(2).fit(V)), k=2).fit(V),
        lambda r: r.kneighbors(X),
    ),
    "sparse inside": lambda: (
        make_pipeline(TfidfVectorizer(), KNeighborsClassifier(3)).fit(
            FRAME["text"].fillna(""), LABELS
        ),
        lambda p: p.predict_proba(FRAME["text"].fillna("")),
    ),
    "kmeans": lambda: (
        make_pipeline(
            TfidfVectorizer(stop_words=["red"], dtype=np.float32),
            TruncatedSVD(3, random_state=np.random.RandomState(3)),
            KMeans(2, n_init=1, random_state=0),
        ).fit(FRAME["text"].fillna("")),
        lambda p: p.transform(FRAME["text"].fillna("")),
    ),
    "unfitted": lambda: (CCAMapper(7, views=columns()), lambda m: 0),
}


def same(a, b, where="it"):
    """Assert that two values are the same to the bit, whatever is in them."""
    assert type(a) is type(b), (where, type(a), type(b))
    if isinstance(a, np.ma.MaskedArray):
        same(a.data, b.data, where)
        same(a.mask, b.mask, where)
    elif isinstance(a, np.ndarray | np.generic) and a.dtype == object:
        assert a.shape == b.shape
        same(a.ravel().tolist(), b.ravel().tolist(), where)
    elif isinstance(a, np.ndarray | np.generic):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        if a.dtype == np.longdouble:  # its padding is anything
            assert np.array_equal(a, b, equal_nan=True), where
        else:
            assert a.tobytes() == b.tobytes(), where
    elif sparse.issparse(a):
        same(a.toarray(), b.toarray(), where)
    elif isinstance(a, dict):
        same(list(a), list(b), where)
        for key in a:
            same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{where}[{i}]")
    elif isinstance(a, np.random.RandomState):
        same(a.get_state(legacy=False), b.get_state(legacy=False), where)
    elif isinstance(a, np.random.Generator):
        same(a.bit_generator.state, b.bit_generator.state, where)
    elif hasattr(a, "__dict__") and not callable(a):
        vars(a).get("metric_params", 0)  # functions are made again when asked for
        some, others = (
            {k: v for k, v in vars(o).items() if k != "_metric"} for o in (a, b)
        )
        same(some, others, where)
    elif type(a).__module__.startswith("sklearn.neighbors._"):
        same(np.asarray(a.data), np.asarray(b.data), where)
    elif isinstance(a, float) and a != a:
        assert b != b, where
    elif not callable(a) or isinstance(a, type):
        assert a == b, where


def saved(estimator, path):
    skmeta.save(estimator, path)
    return skmeta.load(path)


@pytest.mark.parametrize("case", CASES)
def test_a_loaded_estimator_is_the_saved_one_to_the_bit(case, tmp_path):
    estimator, asked = CASES[case]()
    loaded = saved(estimator, tmp_path / "model.skmeta")
    same(estimator, loaded)
    same(asked(estimator), asked(loaded))


@pytest.mark.parametrize("case", ["pending", "search", "columns"])
def test_the_same_model_makes_the_same_file(case, tmp_path):
    estimator, _ = CASES[case]()
    skmeta.save(estimator, tmp_path / "1")
    skmeta.save(skmeta.load(tmp_path / "1"), tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


VALUES = {
    "dicts": {True: 1, (0, "a"): [None], 2: {}, "2": {"x": float("nan")}, None: 1.5},
    "scalars": [np.int64(3), np.int64(2**62)],
    "mixed": [np.float32(1.1), 1.1, np.str_("a\0"), np.bool_(True), -0.0, float("inf")],
    "sets": [{1, "a"}, frozenset({(1, 2)}), set()],
    "ranges": [slice(np.int64(1), None), range(3, 9, 2)],
    "objects": np.array([["a", None], [1.5, (1, [2])]], dtype=object),
    "scalar object": np.array(None, dtype=object),
    "masked": np.ma.MaskedArray([1.0, 2.0], [True, False], fill_value=7.0),
    "dtypes": [np.dtype("<f4"), np.dtype("U7"), np.dtype(object), np.float16],
    "times": np.array(["2020-01-01", "NaT"], dtype="M8[s]"),
    "text": ["\ud800", "\0", WIDE, ""],
    "shapes": [np.zeros((0, 3)), np.zeros(()), np.asfortranarray(np.eye(3))],
    "csc": sparse.csc_matrix(np.eye(3)),
    "coo": sparse.coo_array(np.eye(3)),
    "generator": np.random.default_rng(3),
    "philox": np.random.Generator(np.random.Philox(3)),
    "structured": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "complex": np.array([1j]),
    "numbers": (np.datetime64("2020-01-01"), np.timedelta64(3, "s"), np.float16(0.1)),
    "long": [np.longdouble(1) / 3, np.complex64(1j), np.uint8(3)],
}


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_as_they_are(name, tmp_path):
    mapper = CCAMapper()
    mapper.extra_ = mapper.again_ = VALUES[name]
    loaded = saved(mapper, tmp_path / "model")
    same(mapper.extra_, loaded.extra_)
    assert loaded.extra_ is loaded.again_ or isinstance(loaded.extra_, np.dtype)


def test_a_memory_map_is_saved_as_an_array(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(5.0))
    mapper = CCAMapper()
    mapper.extra_ = np.load(tmp_path / "a.npy", mmap_mode="r")
    loaded = saved(mapper, tmp_path / "model")
    same(loaded.extra_, np.arange(5.0))


def test_a_large_vocabulary_is_saved_in_moments(tmp_path):
    vectorizer = TfidfVectorizer(max_features=20_000)
    vectorizer.fit([" ".join(f"w{i}" for i in range(25_000))])
    same(vectorizer, saved(vectorizer, tmp_path / "model"))
    assert (tmp_path / "model").stat().st_size < 2_000_000


def test_every_estimator_is_in_the_table_and_every_name_is_there():
    public = [getattr(skmeta, name) for name in skmeta.__all__]
    for value in public:
        if isinstance(value, type) and issubclass(value, BaseEstimator):
            assert f"{value.__module__}.{value.__name__}" in _trust.TRUSTED
    for name in _trust.TRUSTED:
        module, _, attribute = name.rpartition(".")
        assert hasattr(
            sys.modules.get(module) or __import__(module, fromlist="_"), attribute
        ), name


def test_save_and_load_say_what_to_install_without_skops(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "skops", None)
    for call in (lambda: skmeta.save(CCAMapper(), "x"), lambda: skmeta.load("x")):
        with pytest.raises(ImportError, match=r'pip install "skmeta\[io\]"'):
            call()


def test_save_takes_estimators_alone(tmp_path):
    with pytest.raises(TypeError, match="save writes estimators; got a ndarray"):
        skmeta.save(X, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


# ---- what is saved -------------------------------------------------------------------


def test_fault_19_wide_unicode_in_paths_names_and_labels(tmp_path):
    pipeline, _ = CASES["pipeline"]()
    path = tmp_path / f"modell {WIDE}.skmeta"
    loaded = saved(pipeline, path)
    assert_array_equal(loaded.classes_, ["nein", "oui 😀"])
    assert WIDE in loaded.feature_names_in_
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    views = views_of(names=(WIDE, "文"))
    loaded = saved(CCAMapper(2).fit(views), str(path))
    assert list(loaded.weights_) == [WIDE, "文"]


@pytest.mark.parametrize("case", CASES)
def test_fault_34_pickle_has_equal_bits(case):
    estimator, asked = CASES[case]()
    loaded = pickle.loads(pickle.dumps(estimator))
    same(asked(estimator), asked(loaded))


# ---- writing -------------------------------------------------------------------------

KILLS = 20

KILLED = """
import os, random, signal, sys, time
import skmeta
path = sys.argv[1]
old, new = (skmeta.CCAMapper(n) for n in (1, 2))
new.extra_ = "x" * 3_000_000
skmeta.save(old, path)
random.seed(0)
whole = 0
for _ in range({kills}):
    child = os.fork()
    if not child:
        while True:
            skmeta.save(random.choice([old, new]), path)
    time.sleep(random.uniform(0.005, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    whole += skmeta.load(path).n_components in (1, 2)
print(whole)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forks")
def test_fault_55_kill_9_in_save_leaves_a_whole_file(tmp_path):
    code = KILLED.format(kills=KILLS)
    path = str(tmp_path / "model")
    run = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) == KILLS


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_fault_56_the_old_file_is_intact_when_the_disk_is_full(
    step, monkeypatch, tmp_path
):
    path = tmp_path / "model"
    skmeta.save(CCAMapper(1), path)
    before = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space"):
        skmeta.save(CCAMapper(2), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_stopped_right_after_the_renaming_the_new_file_is_there(monkeypatch, tmp_path):
    path = tmp_path / "model"
    skmeta.save(CCAMapper(1), path)
    plain = os.replace

    def interrupted(*args):
        plain(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        skmeta.save(CCAMapper(2), path)
    assert list(tmp_path.iterdir()) == [path]
    assert skmeta.load(path).n_components == 2


def test_fault_56_a_real_limit_in_the_middle_of_the_file(tmp_path):
    resource = pytest.importorskip("resource")
    del resource
    code = f"""
import resource, skmeta, numpy as np
mapper = skmeta.CCAMapper(1)
skmeta.save(mapper, {str(tmp_path / "model")!r})
mapper.extra_ = np.zeros(100_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    skmeta.save(mapper, {str(tmp_path / "model")!r})
except OSError as error:
    print(type(error).__name__)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "OSError", run.stderr
    assert not hasattr(skmeta.load(tmp_path / "model"), "extra_")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_fault_56_no_permission(monkeypatch, tmp_path):
    path = tmp_path / "model"
    skmeta.save(CCAMapper(1), path)
    monkeypatch.setattr(os, "access", lambda *args: False)  # root may all
    with pytest.raises(PermissionError, match="may not be written"):
        skmeta.save(CCAMapper(2), path)
    assert skmeta.load(path).n_components == 1
    assert list(tmp_path.iterdir()) == [path]


def test_fault_56_places_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        skmeta.save(CCAMapper(), tmp_path / "none" / "model")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        skmeta.save(CCAMapper(), tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(OSError):
        skmeta.load(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        skmeta.load(tmp_path / "nothing")


def test_a_file_keeps_its_mode_and_a_link_stays_one(tmp_path):
    path, link = tmp_path / "model", tmp_path / "link"
    skmeta.save(CCAMapper(1), path)
    path.chmod(0o640)
    link.symlink_to(path)
    skmeta.save(CCAMapper(2), link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert skmeta.load(path).n_components == 2


# ---- damage --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "model"
    skmeta.save(CCAMapper(2).fit(V), path)
    return path.read_bytes()


def test_fault_57_a_file_cut_anywhere_is_one_error(whole, tmp_path):
    path = tmp_path / "model"
    for length in {*range(300), *range(300, len(whole), 397), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError):
            skmeta.load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CorruptFileError):
        skmeta.load(path)


def test_fault_58_a_flipped_bit_anywhere_is_one_error(whole, tmp_path):
    path = tmp_path / "model"
    for place in {*range(400), *range(400, len(whole), 97), len(whole) - 1}:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(CorruptFileError):
            skmeta.load(path)


@pytest.mark.parametrize("content", [b"", b"\x93", b"not a model" * 9, b"PK\3\4" * 40])
def test_fault_57_other_files_are_the_same_error(content, tmp_path):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(CorruptFileError, match="no file of skmeta.save"):
        skmeta.load(tmp_path / "model")
    assert issubclass(CorruptFileError, ValueError)


# ---- files made to harm --------------------------------------------------------------

HEADER = {
    "format": 1,
    "skmeta": skmeta.__version__,
    "sklearn": __import__("sklearn").__version__,
    "skops": __import__("skops").__version__,
    "numpy": np.__version__,
    "scipy": "1",
}


def forged(path, payload, header=()):
    """A file with a true checksum, of whatever is given."""
    _file.write(path, _file.MODEL, {**HEADER, **dict(header)}, payload)
    return path


def members_of(estimator, path):
    skmeta.save(estimator, path)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    return json.loads(members.pop("schema.json")), members


def zipped(schema, members, compression=zipfile.ZIP_STORED):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
        text = schema if isinstance(schema, str) else json.dumps(schema)
        file.writestr("schema.json", text)
    return made.getvalue()


class Trap:
    """Says so when it is made, called, or given a state."""

    sprung = []

    def __init__(self, *args):
        self.sprung.append("init")

    def __setstate__(self, state):
        self.sprung.append("setstate")

    def __reduce__(self):
        return os.system, ("echo sprung",)


NODES = {
    "function": {
        "__loader__": "FunctionNode",
        "__module__": "os",
        "__class__": "system",
    },
    "type": {"__loader__": "TypeNode", "__module__": "os", "__class__": "system"},
    "object": {
        "__loader__": "ObjectNode",
        "__module__": __name__,
        "__class__": "Trap",
        "content": None,
    },
    "reduce": {
        "__loader__": "ConstructorFromReduceNode",
        "__module__": "os",
        "__class__": "system",
        "content": {"__loader__": "TupleNode"},
    },
    "reduce of what is trusted": {
        "__loader__": "ConstructorFromReduceNode",
        "__module__": "skmeta.mapping._cca",
        "__class__": "CCAMapper",
        "content": {"__loader__": "TupleNode"},
    },
    "partial": {
        "__loader__": "PartialNode",
        "__module__": "functools",
        "__class__": "partial",
        "content": {},
    },
    "method": {
        "__loader__": "MethodNode",
        "__module__": "os",
        "__class__": "system",
        "content": {},
    },
    "operator": {
        "__loader__": "OperatorFuncNode",
        "__module__": "operator",
        "__class__": "methodcaller",
        "attrs": {},
    },
    "list": {
        "__loader__": "ListNode",
        "__module__": "os",
        "__class__": "system",
        "content": [],
    },
    "array": {
        "__loader__": "NdArrayNode",
        "__module__": "os",
        "__class__": "system",
        "type": "numpy",
        "file": "900000.npy",
    },
    "sparse": {
        "__loader__": "SparseMatrixNode",
        "__module__": "scipy.sparse._csr",
        "__class__": "csr_matrix",
        "type": "scipy",
        "file": "900000.npz",
    },
    "tree": {
        "__loader__": "TreeNode",
        "__module__": "sklearn.tree._tree",
        "__class__": "Tree",
    },
}


@pytest.mark.parametrize("kind", NODES)
def test_fault_59_code_in_a_file_never_runs(kind, tmp_path):
    schema, members = members_of(CCAMapper(), tmp_path / "model")
    node = {**NODES[kind], "__id__": 900_000}
    if node.get("content") is None:
        node.pop("content", None)
    schema["content"]["content"]["views"] = node
    path = forged(tmp_path / "model", zipped(schema, members))
    name = f"{node['__module__']}.{node['__class__']}"
    with pytest.raises(UntrustedTypeError, match=name.replace("__main__", "")):
        skmeta.load(path)
    assert Trap.sprung == []


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_fault_59_an_older_protocol_opens_no_door(protocol, tmp_path):
    schema, members = members_of(CCAMapper(), tmp_path / "model")
    schema["protocol"] = protocol
    schema["content"]["content"]["views"] = {**NODES["function"], "__id__": 900_000}
    path = forged(tmp_path / "model", zipped(schema, members))
    with pytest.raises((UntrustedTypeError, CorruptFileError), match="system|protocol"):
        skmeta.load(path)


def test_fault_59_pickles_are_not_read(tmp_path, capfd):
    (tmp_path / "model").write_bytes(pickle.dumps(Trap()))
    Trap.sprung.clear()
    with pytest.raises(CorruptFileError):
        skmeta.load(tmp_path / "model")
    with pytest.raises(CorruptFileError):
        skmeta.load(forged(tmp_path / "model", pickle.dumps([1])))
    assert "sprung" not in capfd.readouterr().out


def a_function(x):
    return x


@pytest.mark.parametrize(
    "estimator, name",
    [
        (FunctionTransformer(a_function), "a_function"),
        (CrossModalRetriever(CCAMapper(), metric=a_function), "a_function"),
        (RandomForestClassifier(2).fit(X, X[:, 0] > 0), r"sklearn\.tree\._tree\.Tree"),
        (FunctionTransformer(kw_args={"a": Trap}), "Trap"),
        (FunctionTransformer(kw_args={"a": b"bytes"}), "bytes"),
    ],
)
def test_fault_59_what_load_would_refuse_is_not_saved(estimator, name, tmp_path):
    with pytest.raises(UntrustedTypeError, match=name):
        skmeta.save(estimator, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_holds_itself_is_not_saved(tmp_path):
    mapper = CCAMapper()
    mapper.extra_ = [mapper]
    with pytest.raises(UntrustedTypeError, match="holds itself"):
        skmeta.save(mapper, tmp_path / "model")


def npy(shape, descr="<f8", content=b"\0" * 64, version=1):
    header = repr({"descr": descr, "fortran_order": False, "shape": shape})
    header = header.ljust(117) + "\n"
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + content


LYING_ARRAYS = {
    "2^62 rows": npy((2**62,)),
    "2^62 in two": npy((2**31, 2**31)),
    "2^64": npy((2**61, 8)),
    "negative": npy((-8,)),
    "negative twice": npy((-8, -1)),
    "no bytes each": npy((2**62,), "|V0", b""),
    "objects": npy((8,), "|O"),
    "one too few": npy((7,)),
    "a subarray": npy((1,), [("a", "<f8", (2**28,))]),
    "no header": b"\x93NUMPY",
    "no magic": b"\0" * 200,
    "empty": b"",
    "version 9": npy((8,), version=9),
    "code": npy("__import__('os').system('echo sprung')"),
    "a deep header": b"\x93NUMPY\1\0" + (9000).to_bytes(2, "little") + b"(" * 9000,
}


@pytest.fixture
def little_memory():
    """At most 512 MB beyond what there is: a lie that is believed fails the test."""
    resource = pytest.importorskip("resource")
    if sys.platform != "linux":
        pytest.skip("limits are Linux's")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + 512 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("lie", LYING_ARRAYS)
def test_fault_60_an_array_lies(lie, little_memory, tmp_path):
    mapper = CCAMapper()
    mapper.extra_ = np.zeros(8)
    schema, members = members_of(mapper, tmp_path / "model")
    (name,) = members
    payload = zipped(schema, {name: LYING_ARRAYS[lie]})
    with pytest.raises(CorruptFileError):
        skmeta.load(forged(tmp_path / "model", payload))


def test_fault_60_a_zip_bomb(little_memory, tmp_path):
    mapper = CCAMapper()
    mapper.extra_ = np.zeros(8)
    schema, members = members_of(mapper, tmp_path / "model")
    (name,) = members
    bomb = {name: npy((2**23,), content=b"\0" * 2**26)}
    payload = zipped(schema, bomb, zipfile.ZIP_DEFLATED)
    assert len(payload) < 2**17
    with pytest.raises(CorruptFileError, match="compressed"):
        skmeta.load(forged(tmp_path / "model", payload))


def repeated(depth):
    """A list of a list twice of a list twice…, by references."""
    node = {**LIST, "content": [], "__id__": 500_000}
    for i in range(1, depth):
        twice = {**LIST, "__loader__": "CachedNode", "__id__": node["__id__"]}
        node = {**LIST, "content": [node, twice], "__id__": 500_000 + i}
    return node


LIST = {"__loader__": "ListNode", "__module__": "builtins", "__class__": "list"}
JSON = {"__loader__": "JsonNode", "__module__": "builtins", "__class__": "str"}

LYING_SCHEMAS = {
    "no json": "{",
    "no text": "\x00",
    "null": "null",
    "a list": "[]",
    "nothing": "{}",
    "deep": "[" * 100_000,
    "deep nodes": '{"__loader__":"ListNode","content":[' * 50_000,
    "a long number": '{"protocol":' + "9" * 10_000 + "}",
    "no content": {**LIST, "__id__": 1, "protocol": 2},
    "a list of lists": {**LIST, "__id__": 1, "protocol": 2, "content": [[]]},
    "no number": {**LIST, "content": [], "protocol": 2},
    "number twice": {
        **LIST,
        "__id__": 1,
        "protocol": 2,
        "content": [{**JSON, "content": "1", "__id__": 1}],
    },
    "a reference to nothing": {
        **LIST,
        "__id__": 1,
        "protocol": 2,
        "content": [{**LIST, "__loader__": "CachedNode", "__id__": 7}],
    },
    "json in json": {**JSON, "__id__": 1, "protocol": 2, "content": "{"},
    "no estimator": {**LIST, "__id__": 1, "protocol": 2, "content": []},
    "endless": {**LIST, "__id__": 1, "protocol": 2, "content": [repeated(60)]},
    "no protocol": {**LIST, "__id__": 1, "content": []},
    "a strange protocol": {**LIST, "__id__": 1, "content": [], "protocol": "x"},
    "holds itself": {
        **LIST,
        "__id__": 1,
        "protocol": 2,
        "content": [{**LIST, "__loader__": "CachedNode", "__id__": 1}],
    },
}


@pytest.mark.parametrize("lie", LYING_SCHEMAS)
def test_fault_60_a_schema_lies(lie, little_memory, tmp_path):
    payload = zipped(LYING_SCHEMAS[lie], {})
    with pytest.raises(CorruptFileError):
        skmeta.load(forged(tmp_path / "model", payload))


@pytest.mark.parametrize(
    "name", ["../evil.npy", "/etc/passwd", "..\\evil.npy", "1.npy"]
)
def test_fault_60_a_member_has_a_path(name, tmp_path):
    mapper = CCAMapper()
    mapper.extra_ = np.zeros(8)
    schema, members = members_of(mapper, tmp_path / "model")
    schema["content"]["content"]["extra_"]["file"] = name
    payload = zipped(schema, {name: npy((8,))})
    before = set(tmp_path.rglob("*"))
    with pytest.raises(CorruptFileError):
        skmeta.load(forged(tmp_path / "model", payload))
    assert set(tmp_path.rglob("*")) == before


def test_fault_60_members_that_nobody_asks_for(tmp_path):
    schema, members = members_of(CCAMapper(), tmp_path / "model")
    payload = zipped(schema, {"more.npy": npy((8,))})
    with pytest.raises(CorruptFileError, match="not those of the schema"):
        skmeta.load(forged(tmp_path / "model", payload))


def test_fault_60_the_directory_of_the_zip_lies(tmp_path):
    """Any byte of the directory set to anything: an error of one kind, or no harm."""
    mapper = CCAMapper()
    mapper.extra_ = np.zeros(8)
    schema, members = members_of(mapper, tmp_path / "model")
    payload = zipped(schema, members)
    start = payload.index(b"PK\1\2")
    for place in range(start, len(payload)):
        for value in (0, 255):
            lying = payload[:place] + bytes([value]) + payload[place + 1 :]
            try:
                loaded = skmeta.load(forged(tmp_path / "model", lying))
            except CorruptFileError:
                continue
            same(loaded.extra_, mapper.extra_)


def nodes_in(part):
    """All nodes of a schema, from the outside inwards."""
    inner = part.values() if isinstance(part, dict) else part
    found = [part] if isinstance(part, dict) and "__loader__" in part else []
    if isinstance(part, dict | list):
        found += [node for some in inner for node in nodes_in(some)]
    return found


def forge_at_random(rng, schema, members):
    """One thing in a file put to another place, changed or left out."""
    schema, members = json.loads(json.dumps(schema)), dict(members)
    nodes = nodes_in(schema)
    node, other = (nodes[i] for i in rng.integers(len(nodes), size=2))
    key = rng.choice(list(node))
    match rng.integers(5):
        case 0:
            copied = json.loads(json.dumps(other))
            node.clear()
            node.update(copied)
        case 1:
            strange = [None, -1, "x", [], {}, True, 2**70, 1.5]
            node[key] = other.get(key, strange[rng.integers(len(strange))])
        case 2:
            del node[key]
        case 3:
            names = {"__id__": other["__id__"], "__loader__": "CachedNode"}
            node.update(names)
        case 4:
            name = rng.choice(list(members))
            array = bytearray(members[name])
            array[rng.integers(min(130, len(array)))] = rng.integers(256)
            members[name] = bytes(array)
    return zipped(schema, members)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("case", ["columns", "retriever, csls", "three with gaps"])
def test_fault_60_forged_at_random_it_loads_or_is_one_of_two_errors(
    case, little_memory, tmp_path
):
    rng = np.random.default_rng(0)
    whole = members_of(CASES[case]()[0], tmp_path / "model")
    refused = 0
    for _ in range(100):
        forged(tmp_path / "model", forge_at_random(rng, *whole))
        try:
            skmeta.load(tmp_path / "model")
        except (CorruptFileError, UntrustedTypeError):
            refused += 1
    assert refused > 50


LYING_PARTS = {
    "unknown": Packed("system", ["echo"]),
    "no list": Packed("objects", 3),
    "shape": Packed("objects", [[1], [2**62]]),
    "sparse outside": Packed(
        "sparse",
        [np.ones(1), np.array([99]), np.array([0, 1]), [1, 3], "csr", "csr", True],
    ),
    "sparse": Packed("sparse", [1, 2, 3, 4, "os", "system", True]),
    "tree": Packed("tree", ["system", np.eye(3), 2, "euclidean", None]),
    "generator": Packed("Generator", [{"bit_generator": "seed"}, {}]),
    "place": Packed(
        "RandomState",
        [np.random.RandomState(0).get_state(legacy=False) | {"state": {"pos": 10**9}}],
    ),
    "range": Packed("range", ["a"]),
    "json": Packed("json", "{"),
    "dict": Packed("dict", [[[]], [1]]),
}


@pytest.mark.parametrize("lie", LYING_PARTS)
def test_fault_60_packed_parts_lie(lie, little_memory, tmp_path):
    mapper = CCAMapper()
    mapper.extra_ = LYING_PARTS[lie]
    skmeta.save(mapper, tmp_path / "model")
    with pytest.raises(CorruptFileError):
        skmeta.load(tmp_path / "model")


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b"null", b'{"format":"1"}'])
def test_fault_60_the_header_lies(line, tmp_path):
    body = line + b"\n"
    path = tmp_path / "model"
    path.write_bytes(_file.MODEL + hashlib.sha256(body).digest() + body)
    with pytest.raises(CorruptFileError):
        skmeta.load(path)


# ---- versions ------------------------------------------------------------------------


def test_fault_61_a_newer_format_names_the_version(tmp_path):
    path = tmp_path / "model"
    _file.write(path, _file.MODEL, {"format": 2, "skmeta": "9.1.0"}, b"?")
    with pytest.raises(FileVersionError, match=r'pip install "skmeta>=9\.1\.0"'):
        skmeta.load(path)


@pytest.mark.parametrize(
    "module, library, package",
    [
        ("skmeta.mapping._new", "skmeta", "skmeta"),
        ("sklearn.new", "sklearn", "scikit-learn"),
    ],
)
def test_fault_61_an_unknown_class_names_the_version(
    module, library, package, tmp_path
):
    schema, members = members_of(CCAMapper(), tmp_path / "model")
    schema["__module__"], schema["__class__"] = module, "NewMapper"
    payload = zipped(schema, members)
    path = forged(tmp_path / "model", payload, {library: "99.0"})
    with pytest.raises(FileVersionError, match="NewMapper.*" + package + ">=99.0"):
        skmeta.load(path)
    forged(path, payload)
    with pytest.raises(UntrustedTypeError, match=f"{module}.NewMapper"):
        skmeta.load(path)


def test_fault_61_a_newer_skops_is_named(tmp_path):
    schema, members = members_of(CCAMapper(), tmp_path / "model")
    schema["protocol"] = 99
    path = forged(tmp_path / "model", zipped(schema, members), {"skops": "99.0"})
    with pytest.raises(FileVersionError, match="skops>=99.0"):
        skmeta.load(path)


def test_fault_61_the_version_of_skmeta_is_in_the_file(whole):
    line = whole[40:].split(b"\n", 1)[0]
    assert json.loads(line)["skmeta"] == skmeta.__version__


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.skmeta")), ids=lambda p: p.stem)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
def test_fault_62_files_of_every_release_load_with_equal_bits(path):
    loaded = skmeta.load(path)
    with np.load(path.with_suffix(".npz")) as told:
        mapper, a = loaded.mapper_, told["a"]
        assert_array_equal(mapper.weights_["a"], told["weights"], strict=True)
        assert_array_equal(mapper.correlations_, told["correlations"], strict=True)
        # What the file holds has its bits; products have those of the machine.
        close = dict(rtol=1e-13, atol=1e-13)
        assert_allclose(mapper.transform(Views(a=a, b=told["b"])), told["Z"], **close)
        distances, ids = loaded.kneighbors(a)
        assert_allclose(distances, told["distances"], **close)
        assert_array_equal(ids, told["ids"], strict=True)


def test_fault_62_there_is_a_golden_file():
    assert list(GOLDEN.glob("*.skmeta"))


# ---- devices -------------------------------------------------------------------------


def test_fault_65_saved_on_a_device_loaded_on_the_host(tmp_path):
    torch = pytest.importorskip("torch")
    from sklearn import config_context

    with config_context(array_api_dispatch=True):
        mapper = CCAMapper(2).fit(torch.asarray(X), torch.asarray(Y))
        assert isinstance(mapper.correlations_, torch.Tensor)
        Z = mapper.transform(torch.asarray(X)).numpy()
        pending = CCAMapper(2).partial_fit(torch.asarray(X), torch.asarray(Y))
    loaded = saved(mapper, tmp_path / "model")
    assert isinstance(loaded.correlations_, np.ndarray)
    assert_allclose(loaded.transform(X), Z, rtol=1e-10, atol=1e-12)
    loaded = saved(pending, tmp_path / "model")
    assert_allclose(loaded.transform(X), Z, rtol=1e-6, atol=1e-8)
    assert isinstance(loaded.correlations_, np.ndarray)


def test_fault_65_a_file_of_a_device_needs_no_torch(tmp_path):
    torch = pytest.importorskip("torch")
    from sklearn import config_context

    with config_context(array_api_dispatch=True):
        mapper = CCAMapper(2).fit(torch.asarray(X), torch.asarray(Y))
    skmeta.save(mapper, tmp_path / "model")
    code = f"""
import sys
class NotInstalled:
    def find_spec(name, path, target=None):
        if name == "torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NotInstalled)
import skmeta
print(type(skmeta.load({str(tmp_path / "model")!r}).correlations_).__name__)
print("torch" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.split() == ["ndarray", "False"], run.stderr
