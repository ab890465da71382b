"""The files inside the package: small, safe to read, and equal to where they are from.

Where the full sets are not on this machine (`SKMETA_DATA`) the comparisons with them
are skipped.
"""

import importlib.util
import io
import lzma
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from skmeta.datasets import (
    find_data,
    load_debian_packages,
    load_emoji,
    load_mfeat,
    load_spoken_words,
)

DATA = Path(str(files("skmeta.datasets"))) / "data"
TOOL = Path(__file__).parents[2] / "tools" / "make_packaged_data.py"
NAMES = ("emoji", "debian_packages", "mfeat", "spoken_words")


def full_set(name):
    try:
        return find_data(name)
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def tool():
    if not TOOL.exists():
        pytest.skip("tools/ is not here")
    spec = importlib.util.spec_from_file_location("make_packaged_data", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- the files -----------------------------------------------------------------------


def test_all_of_it_is_small():
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 8_000_000


@pytest.mark.parametrize("name", NAMES)
def test_each_set_has_its_page_and_its_licence(name):
    assert (DATA / f"{name}.md").read_text("utf-8").startswith(f"# {name}: ")
    assert "icen" in (DATA / f"{name}.LICENSE.md").read_text("utf-8")


def test_nothing_else_lies_there():
    known = [n for n in DATA.iterdir() if n.name.split(".")[0] in NAMES]
    assert sorted(known) == sorted(DATA.iterdir())


@pytest.mark.parametrize(
    "path", sorted(DATA.glob("*.npy.xz")), ids=lambda path: path.name
)
def test_arrays_need_no_pickle(path):
    data = io.BytesIO(lzma.decompress(path.read_bytes()))
    assert np.load(data, allow_pickle=False).dtype.kind in "uif"


# ---- against the full sets -----------------------------------------------------------


def test_emoji_is_the_full_set():
    pd = pytest.importorskip("pandas")
    folder, emoji = full_set("emoji"), load_emoji()
    with np.load(folder / "emoji.npz", allow_pickle=False) as full:
        np.testing.assert_array_equal(emoji.images, full["img_google"])
        np.testing.assert_array_equal(emoji.images_twitter, full["img_twitter"])
        np.testing.assert_array_equal(emoji.embeddings, full["minilm_label_keywords"])
        np.testing.assert_array_equal(emoji.split, full["split"])
        np.testing.assert_array_equal(emoji.groups, full["group_names"][full["group"]])
    table = pd.read_csv(folder / "emoji.csv", keep_default_na=False)
    for name in ("hexcode", "emoji", "subgroup", "family"):
        np.testing.assert_array_equal(emoji[name], table[name].to_numpy(object))
    for language in ("en", "de", "fr", "ja", "ru"):
        for kind in ("label", "keywords"):
            ours = emoji["labels" if kind == "label" else kind][language]
            theirs = table[f"{kind}_{language}"].to_numpy(object)
            np.testing.assert_array_equal(ours, theirs)


def test_debian_packages_are_rows_of_the_full_set():
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = full_set("debian_packages") / "debian_packages.parquet"
    full, packages = pd.read_parquet(path), load_debian_packages()
    rows = full.set_index("package").loc[packages.package]
    for name in [*packages.feature_names, "section"]:
        ours = packages.frame[name].to_numpy(object)
        np.testing.assert_array_equal(ours, rows[name].to_numpy(object), name)
    np.testing.assert_array_equal(packages.groups, rows["source"].to_numpy(object))
    np.testing.assert_array_equal(packages.split, rows["split"].to_numpy(object))
    # Sources are there whole.
    assert full["source"].isin(packages.groups).sum() == len(packages.data)


def test_mfeat_is_the_full_set():
    folder, mfeat = full_set("mfeat"), load_mfeat()
    with np.load(folder / "mfeat.npz", allow_pickle=False) as full:
        assert set(full.files) == {*mfeat.views.keys(), "digit", "split"}
        for name, view in mfeat.views.items():
            assert view.dtype == full[name].dtype
            np.testing.assert_array_equal(view, full[name])
        np.testing.assert_array_equal(mfeat.target, full["digit"])
        np.testing.assert_array_equal(mfeat.split, full["split"])


def test_spoken_words_are_clips_of_the_full_set():
    folder, spoken = full_set("spoken_words"), load_spoken_words()
    with np.load(folder / "spoken_words.npz", allow_pickle=False) as full:
        full = {name: full[name] for name in full.files}
    clips = {
        (word, voice): row
        for row, (word, voice) in enumerate(
            zip(full["vocab"][full["word"]], full["voices"][full["voice"]], strict=True)
        )
    }
    rows = [clips[pair] for pair in zip(spoken.word, spoken.voice, strict=True)]
    np.testing.assert_array_equal(spoken.logmel, full["logmel"][rows])
    np.testing.assert_array_equal(spoken.n_frames, full["n_frames"][rows])
    word = full["word"][rows]
    np.testing.assert_array_equal(spoken.hexcode, full["vocab_emoji_hexcode"][word])
    np.testing.assert_array_equal(spoken.split, full["vocab_split"][word])


# ---- the tool that makes them --------------------------------------------------------


@pytest.fixture
def made_mfeat(tmp_path):
    """A folder of full sets that holds a small mfeat of the real one's form."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "full" / "mfeat"
    folder.mkdir(parents=True)
    np.savez(
        folder / "mfeat.npz",
        **{k: rng.integers(0, 99, (30, 5)).astype("uint16") for k in ("fac", "pix")},
        **{k: rng.random((30, 4), "float32") for k in ("fou", "kar", "mor", "zer")},
        digit=rng.integers(0, 10, 30).astype("int8"),
        split=np.array(["train", "test", "valid"] * 10),
    )
    return folder.parent


def test_two_runs_give_the_same_bytes(tool, made_mfeat, tmp_path, monkeypatch):
    tool.make(made_mfeat, tmp_path / "first", ["mfeat"])
    later = time.time() + 1e8
    monkeypatch.setattr(time, "time", lambda: later)
    tool.make(made_mfeat, tmp_path / "second", ["mfeat"])
    first = {p.name: p.read_bytes() for p in (tmp_path / "first").iterdir()}
    second = {p.name: p.read_bytes() for p in (tmp_path / "second").iterdir()}
    assert first == second
    assert len(first) == 7


def test_arrays_come_back_as_they_were(tool, tmp_path):
    rng = np.random.default_rng(0)
    for dtype in ("uint8", "uint16", "float16", "float32"):
        array = np.asfortranarray((99 * rng.random((20, 7))).astype(dtype))
        tool.write_array(tmp_path / "a.npy.xz", array)
        with lzma.open(tmp_path / "a.npy.xz") as file:
            back = np.load(io.BytesIO(file.read()), allow_pickle=False)
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def test_the_tool_makes_what_is_packaged(tool, tmp_path):
    # Contents, not bytes: those may depend on the version of xz.
    tool.make(full_set("spoken_words").parent, tmp_path, ["spoken_words"])
    made = list(tmp_path.iterdir())
    assert made
    for path in made:
        packaged = lzma.decompress((DATA / path.name).read_bytes())
        assert lzma.decompress(path.read_bytes()) == packaged


def test_selected_packages_are_whole_sources_of_frequent_sections(tool):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    source = rng.integers(0, 300, 900)
    section = np.where(rng.random(900) < 0.02, "rare", rng.choice(["a", "b"], 900))
    frame = pd.DataFrame(
        {"source": [f"s{i}" for i in source], "section": section, "row": range(900)}
    )
    drawn = tool.select_packages(frame, n_sections=2, n_rows=200)
    assert 190 <= len(drawn) <= 200
    assert set(drawn["section"]) == {"a", "b"}
    assert frame["source"].isin(drawn["source"]).sum() == len(drawn)
    assert drawn["row"].is_monotonic_increasing
    shuffled = tool.select_packages(
        frame.sample(frac=1, random_state=0), n_sections=2, n_rows=200
    )
    assert set(shuffled["row"]) == set(drawn["row"])
