"""Make the small real sets inside the package from the full, shared ones.

usage: python tools/make_packaged_data.py [--source DIR] [--out DIR] [--only NAME ...]

Two runs give the same bytes. Needs pandas and pyarrow for the parquet file; what it
writes is read with numpy and the standard library alone: a set is NAME.csv.xz (one
line a row) and its arrays, NAME.ARRAY.npy.xz. xz takes a fifth off what deflate makes
of these arrays. The descriptions and licence notes beside them are written by
hand.
"""

import argparse
import csv
import hashlib
import io
import lzma
import os
from pathlib import Path

import numpy as np

MAX_BYTES = 8_000_000

LANGUAGES = ("en", "de", "fr", "ja", "ru")

MFEAT_VIEWS = ("fac", "fou", "kar", "mor", "pix", "zer")

# Two synthesizers, two female and two male voices. The last is the one that the full
# set's baseline holds out as the unseen voice.
VOICES = ("espeak:en-us+f2", "espeak:en-gb+m3", "flite:slt", "flite:rms")

# Below the 20 most frequent sections, 4,000 rows leave under ten test rows a section.
N_SECTIONS = 20
N_PACKAGES = 4_000

# `homepage_host`, `tags` and `n_tags` give the section away and stay out of the
# package; `package` and `source` are there to look rows up and to group them.
PACKAGE_COLUMNS = (
    *("package", "source", "section", "split"),
    *("summary", "description"),
    *("installed_size_kb", "deb_size_bytes", "n_depends", "n_recommends"),
    *("n_suggests", "n_conflicts", "n_provides", "n_breaks"),
    *("needs_libc", "needs_python", "needs_perl", "version_native", "has_epoch"),
    *("priority", "architecture", "multi_arch", "team"),
)


def write_array(path, array, record_bytes=None):
    """Write an array as .npy, by xz, told how many bytes a record has.

    The literal and position bits of LZMA are then those of the record (a pixel of 4
    bytes, a float16 of 2): five per cent smaller than its general setting.
    """
    bits = (record_bytes or array.itemsize).bit_length() - 1
    lzma2 = {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "pb": bits,
        "lp": bits,
        "lc": 4 - bits,  # lc + lp is 4 at most
    }
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    path.write_bytes(lzma.compress(buffer.getvalue(), filters=[lzma2]))


def write_table(path, columns):
    """Write name -> one string or number a row as comma-separated text, by xz."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    data = text.getvalue().encode("utf-8")
    path.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def make_emoji(source, out):
    """All rows, both drawings, the MiniLM vectors of label and keywords."""
    with open(source / "emoji.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["hexcode", "emoji", "group", "subgroup", "family", "split"]
    for language in LANGUAGES:
        names += [f"label_{language}", f"keywords_{language}"]
    write_table(out / "emoji.csv.xz", {k: [row[k] for row in rows] for k in names})
    with np.load(source / "emoji.npz", allow_pickle=False) as full:
        google, twitter = full["img_google"], full["img_twitter"]
        embeddings = full["minilm_label_keywords"]
    write_array(out / "emoji.images.npy.xz", google, record_bytes=4)
    write_array(out / "emoji.images_twitter.npy.xz", twitter, record_bytes=4)
    write_array(out / "emoji.embeddings.npy.xz", embeddings)


def select_packages(frame, n_sections=N_SECTIONS, n_rows=N_PACKAGES):
    """Rows of whole source packages, drawn by a hash of the source's name.

    Only sources that lie wholly in the most frequent sections are drawn, so none is
    cut. The draw looks at nothing but the name: the proportions of the splits and of
    the sections stay what they are, up to chance. Rows keep their order.
    """
    frequent = frame["section"].value_counts(sort=True).index[:n_sections]
    inside = frame["section"].isin(frequent).groupby(frame["source"]).all()
    sizes = frame["source"].value_counts()
    # Not crc32: the stored split is made from that, and would be drawn unevenly.
    order = sorted(
        inside.index[inside],
        key=lambda name: hashlib.blake2b(name.encode("utf-8")).digest(),
    )
    drawn = np.cumsum([sizes[name] for name in order]) <= n_rows
    return frame[frame["source"].isin(np.asarray(order, object)[drawn])]


def make_debian_packages(source, out):
    """A few thousand rows of the most frequent sections."""
    import pandas as pd

    frame = select_packages(pd.read_parquet(source / "debian_packages.parquet"))
    columns = {}
    for name in PACKAGE_COLUMNS:
        column = frame[name]
        columns[name] = column.astype(int) if column.dtype == bool else column
    write_table(out / "debian_packages.csv.xz", columns)


def make_mfeat(source, out):
    """All rows and views. A feature's values lie together: a tenth smaller."""
    with np.load(source / "mfeat.npz", allow_pickle=False) as full:
        for name in MFEAT_VIEWS:
            columnwise = np.asfortranarray(full[name])
            write_array(out / f"mfeat.{name}.npy.xz", columnwise)
        table = {"digit": full["digit"].tolist(), "split": full["split"].tolist()}
    write_table(out / "mfeat.csv.xz", table)


def make_spoken_words(source, out):
    """All words, by four of the ten voices. One frame after another: a seventh less."""
    with np.load(source / "spoken_words.npz", allow_pickle=False) as full:
        full = {name: full[name] for name in full.files}
    rows = np.flatnonzero(np.isin(full["voices"], VOICES)[full["voice"]])
    word = full["word"][rows]
    table = {
        "word": full["vocab"][word],
        "voice": full["voices"][full["voice"][rows]],
        "hexcode": full["vocab_emoji_hexcode"][word],
        "split": full["vocab_split"][word],
        "n_frames": full["n_frames"][rows],
    }
    frames = np.ascontiguousarray(full["logmel"][rows].swapaxes(1, 2))
    write_array(out / "spoken_words.frames.npy.xz", frames)
    write_table(out / "spoken_words.csv.xz", {k: v.tolist() for k, v in table.items()})


MAKERS = {
    "emoji": make_emoji,
    "debian_packages": make_debian_packages,
    "mfeat": make_mfeat,
    "spoken_words": make_spoken_words,
}


def make(source, out, only=None):
    """Write the named sets, all by default, from source/NAME/ into out/."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name in only or MAKERS:
        MAKERS[name](Path(source) / name, out)


def main():
    root = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--source",
        type=Path,
        default=os.environ.get("SKMETA_DATA", root.parent / "shared" / "data"),
        help="folder of the full sets (default: $SKMETA_DATA or ../shared/data)",
    )
    parser.add_argument(
        "--out", type=Path, default=root / "skmeta" / "datasets" / "data"
    )
    parser.add_argument("--only", nargs="+", choices=MAKERS, metavar="NAME")
    arguments = parser.parse_args()
    make(arguments.source, arguments.out, arguments.only)
    sizes = {path.name: path.stat().st_size for path in arguments.out.iterdir()}
    for name, size in sorted(sizes.items()):
        print(f"{size:>9,} {name}")
    total = sum(sizes.values())
    print(f"{total:>9,} in all")
    if total >= MAX_BYTES:
        parser.exit(1, f"That is too much for the package: {MAX_BYTES:,} at most.\n")


if __name__ == "__main__":
    main()
