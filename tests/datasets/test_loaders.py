"""What each packaged set holds, and what it must not hold."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmeta.datasets import (
    find_data,
    load_debian_packages,
    load_emoji,
    load_mfeat,
    load_spoken_words,
)
from skmeta.views import Views

LOADERS = [load_emoji, load_debian_packages, load_mfeat, load_spoken_words]


def arrays_of(bunch):
    """Yield (name, array) of everything in a Bunch that is one, however deep."""
    for name, value in bunch.items():
        if isinstance(value, np.ndarray):
            yield name, value
        elif isinstance(value, (dict, Views)):
            yield from arrays_of(dict(value.items()))


def split_of(bunch):
    """Rows of each part, as a dict in a fixed order."""
    return {k: int(np.sum(bunch.split == k)) for k in ("train", "valid", "test")}


def assert_splits_share_no(keys, split):
    parts = [set(keys[split == part]) for part in ("train", "valid", "test")]
    assert len(set.union(*parts)) == sum(map(len, parts))


def is_str(array):
    return array.dtype.kind == "U"


@pytest.mark.parametrize("load", LOADERS)
def test_describes_itself(load):
    bunch = load()
    name = load.__name__.removeprefix("load_")
    assert bunch.DESCR.startswith(f"# {name}: ")
    assert bunch.source and bunch.license


@pytest.mark.parametrize("load", LOADERS)
def test_arrays_are_fresh_and_writable(load):
    first, second = load(), load()
    pairs = list(zip(arrays_of(first), arrays_of(second), strict=True))
    assert pairs
    for (name, a), (_, b) in pairs:
        assert a.flags.writeable and a.flags.c_contiguous, name
        assert not np.shares_memory(a, b), name
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("load", LOADERS)
def test_every_row_is_in_one_part(load):
    bunch = load()
    assert sum(split_of(bunch).values()) == len(bunch.split)


# ---- emoji ---------------------------------------------------------------------------


def test_emoji_fields():
    emoji = load_emoji()
    assert set(emoji) == {
        *("images", "images_twitter", "text", "embeddings", "groups", "subgroup"),
        *("family", "split", "hexcode", "emoji", "labels", "keywords"),
        *("DESCR", "source", "license"),
    }
    for name in ("images", "images_twitter"):
        assert emoji[name].shape == (1906, 32, 32, 4)
        assert emoji[name].dtype == np.uint8
    assert emoji.embeddings.shape == (1906, 384)
    assert emoji.embeddings.dtype == np.float16
    for name in ("text", "groups", "subgroup", "family", "split", "hexcode", "emoji"):
        assert emoji[name].shape == (1906,) and is_str(emoji[name])
    for texts in (emoji.labels, emoji.keywords):
        assert list(texts) == ["en", "de", "fr", "ja", "ru"]
        assert all(t.shape == (1906,) and is_str(t) and t.all() for t in texts.values())


def test_emoji_rows():
    emoji = load_emoji()
    assert split_of(emoji) == {"train": 1346, "valid": 292, "test": 268}
    assert_splits_share_no(emoji.family, emoji.split)
    assert len(set(emoji.groups)) == 9
    assert len(set(emoji.subgroup)) == 98
    assert len(set(emoji.hexcode)) == 1906
    assert np.sum(emoji.groups == "flags") == 270
    assert emoji.emoji[0] == "\N{GRINNING FACE}"
    assert emoji.labels["de"][0] == "grinsendes Gesicht"
    assert emoji.text[0].startswith("grinning face. cheerful, cheery, face, ")
    assert ";" not in "".join(emoji.text)


def test_emoji_drawings_and_vectors_are_sound():
    emoji = load_emoji()
    for images in (emoji.images, emoji.images_twitter):
        assert not images[images[..., 3] == 0].any()
        assert images[..., 3].any(axis=(1, 2)).all()
    lengths = np.linalg.norm(emoji.embeddings.astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-3)


# ---- debian_packages -----------------------------------------------------------------

LEAKS = {"package", "source", "homepage_host", "tags", "n_tags", "section", "split"}


def test_packages_as_frame():
    packages = load_debian_packages()
    kinds = {"text": 2, "numeric": 8, "boolean": 5, "categorical": 4}
    assert {k: len(names) for k, names in packages.columns.items()} == kinds
    assert packages.data.shape == (4000, 19)
    assert list(packages.data.columns) == packages.feature_names
    assert list(packages.frame.columns) == [*packages.feature_names, "section"]
    assert packages.frame.notna().all(axis=None)
    dtypes = packages.data.dtypes.astype(str)
    assert set(dtypes[packages.columns["numeric"]]) == {"int64"}
    assert set(dtypes[packages.columns["boolean"]]) == {"bool"}
    assert set(dtypes[packages.columns["categorical"]]) == {"category"}
    for name in packages.columns["text"]:
        assert all(type(text) is str and text for text in packages.data[name])
    assert packages.target.name == packages.target_name == "section"
    assert packages.target.dtype == "category"


def test_packages_frame_and_data_are_apart():
    packages = load_debian_packages()
    before = packages.frame.copy()
    packages.data.loc[0, "n_depends"] = -1
    packages.target.iloc[0] = "sound"
    assert packages.frame.equals(before)


def test_packages_without_pandas_are_the_same_rows():
    framed = load_debian_packages()
    plain = load_debian_packages(as_frame=False)
    assert plain.frame is None
    assert plain.data.shape == (4000, 19) and plain.data.dtype == object
    assert {type(value) for value in plain.data.ravel()} == {str, int, bool}
    assert is_str(plain.target)
    np.testing.assert_array_equal(plain.data, framed.data.to_numpy(object))
    np.testing.assert_array_equal(plain.target, framed.target.to_numpy(object))
    assert set(plain) == set(framed)


def test_packages_need_no_pandas_but_for_a_frame():
    code = """
import sys
sys.modules["pandas"] = None
from skmeta.datasets import load_debian_packages
assert load_debian_packages(as_frame=False).data.shape == (4000, 19)
try:
    load_debian_packages()
except ImportError as error:
    print(error)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert process.returncode == 0, process.stderr
    message = process.stdout.decode()
    assert "needs pandas" in message
    assert "pip install pandas" in message and "as_frame=False" in message


@pytest.mark.parametrize("as_frame", [True, False])
def test_packages_leak_nothing(as_frame):
    packages = load_debian_packages(as_frame=as_frame)
    assert not LEAKS.intersection(packages.feature_names)
    if as_frame:
        assert not (LEAKS - {"section"}).intersection(packages.frame.columns)
        assert packages.data.index.equals(packages.target.index)
        assert packages.data.index.dtype == np.int64  # names leak from an index too


def test_packages_split():
    packages = load_debian_packages()
    assert split_of(packages) == {"train": 2699, "valid": 443, "test": 858}
    assert_splits_share_no(packages.groups, packages.split)
    assert len(set(packages.package)) == 4000
    sections = set(packages.target)
    assert len(sections) == 20
    for part, least in (("train", 30), ("valid", 5), ("test", 10)):
        counts = packages.target[packages.split == part].value_counts()
        assert counts.min() >= least and set(counts.index) == sections


def test_packages_go_through_a_pipeline():
    packages = load_debian_packages()
    kinds = packages.columns
    train = np.flatnonzero(packages.split == "train")[:600]
    test = np.flatnonzero(packages.split == "test")
    model = make_pipeline(
        make_column_transformer(
            *((TfidfVectorizer(sublinear_tf=True), name) for name in kinds["text"]),
            (StandardScaler(), kinds["numeric"]),
            ("passthrough", kinds["boolean"]),
            (OneHotEncoder(handle_unknown="ignore"), kinds["categorical"]),
        ),
        LogisticRegression(C=10, max_iter=1000),
    ).fit(packages.data.iloc[train], packages.target.iloc[train])
    accuracy = model.score(packages.data.iloc[test], packages.target.iloc[test])
    assert accuracy > 0.5  # the largest section is .115


# ---- mfeat ---------------------------------------------------------------------------


def test_mfeat():
    mfeat = load_mfeat()
    assert isinstance(mfeat.views, Views)
    assert len(mfeat.views) == 2000
    assert {k: (v.shape[1], v.dtype.name) for k, v in mfeat.views.items()} == {
        "fac": (216, "uint16"),
        "fou": (76, "float32"),
        "kar": (64, "float32"),
        "mor": (6, "float32"),
        "pix": (240, "uint8"),
        "zer": (47, "float32"),
    }
    assert mfeat.target.dtype == np.int64
    assert np.bincount(mfeat.target).tolist() == [200] * 10
    assert split_of(mfeat) == {"train": 1400, "valid": 200, "test": 400}
    assert np.bincount(mfeat.target[mfeat.split == "test"]).tolist() == [40] * 10


# ---- spoken words --------------------------------------------------------------------


def test_spoken_words():
    spoken = load_spoken_words()
    assert spoken.logmel.shape == (2000, 40, 40)
    assert spoken.logmel.dtype == np.uint8
    for name in ("word", "voice", "hexcode", "split"):
        assert spoken[name].shape == (2000,) and is_str(spoken[name])
    pairs = set(zip(spoken.word, spoken.voice, strict=True))
    assert len(pairs) == 2000 == len(set(spoken.word)) * len(set(spoken.voice))
    assert split_of(spoken) == {"train": 1424, "valid": 312, "test": 264}
    assert_splits_share_no(spoken.word, spoken.split)


def test_spoken_words_axes():
    spoken = load_spoken_words()
    assert spoken.n_frames.min() >= 1 and spoken.n_frames.max() == 40
    # Frames are the last axis: after the last of a clip, which may be half a frame
    # more, there is silence only.
    frame = np.arange(40)
    sounds = spoken.logmel.any(axis=1)  # (n, frame)
    after = frame > spoken.n_frames[:, None]
    assert not sounds[after].any()
    last = frame == spoken.n_frames[:, None] - 1
    assert sounds[last].all()


def test_spoken_words_join_with_emoji():
    spoken, emoji = load_spoken_words(), load_emoji()
    row_of = {hexcode: row for row, hexcode in enumerate(emoji.hexcode)}
    rows = [row_of[hexcode] for hexcode in spoken.hexcode]
    np.testing.assert_array_equal(emoji.labels["en"][rows], spoken.word)


# ---- finding the full sets -----------------------------------------------------------


def test_find_data(monkeypatch, tmp_path):
    (tmp_path / "omniglot").mkdir()
    monkeypatch.setenv("SKMETA_DATA", str(tmp_path))
    assert find_data("omniglot") == tmp_path / "omniglot"


def test_find_data_without_the_variable(monkeypatch):
    monkeypatch.delenv("SKMETA_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="set SKMETA_DATA to the folder"):
        find_data("omniglot")


def test_find_data_without_the_set(monkeypatch, tmp_path):
    (tmp_path / "emoji").mkdir()
    (tmp_path / "emoji" / "README.md").touch()
    monkeypatch.setenv("SKMETA_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="which has emoji: set SKMETA_DATA"):
        find_data("emojis")
    monkeypatch.setenv("SKMETA_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="which has no data sets"):
        find_data("emoji")


def test_import_loads_no_optional_library():
    # scikit-learn itself imports pandas where it is installed: what counts is what
    # comes on top of it.
    code = """
import sys
import sklearn, sklearn.utils
before = set(sys.modules)
import skmeta.datasets
print(*(set(sys.modules) - before))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert "skmeta" in loaded
    assert not loaded & {"matplotlib", "pandas", "polars", "pyarrow", "torch"}
