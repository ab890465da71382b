"""How well rows of one view find those of another, on five sets of real data.

``python tests/benchmarks/quality.py [emoji digits omniglot mfeat debian] [--rst]``
prints a table a set, each figure a mean over repeats with its 95 % interval. A repeat
has a split and a seed of its own; all methods see the same rows in it. Settings of
`CCAMapper` are searched in each repeat, by cross-validation of its training rows; those
of `NeuralSharedSpaceMapper` in the first repeat, on a tenth of its training rows (for
digits once and for all, on speakers that are trained on). "Neural, defaults" has the
default settings but for the loss, where labels are the task, and for views that come
scaled. The five sets take some 20 minutes on one core.

``... quality.py sinusoid sections`` prints those of few-shot learners, which
`few_shot_quality.py` describes: two and twenty minutes.

SKMETA_DATA names the folder of the sets. Digits are drawn smaller, and recordings
stretched to one length; of the Debian packages 6,000 are learned from.
"""

import argparse
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from few_shot_quality import sections, sinusoid
from scipy.ndimage import uniform_filter
from scipy.stats import t
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    StratifiedShuffleSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    Normalizer,
    OneHotEncoder,
    StandardScaler,
)

from skmeta import CCAMapper, CrossModalRetriever, NeuralSharedSpaceMapper, Views
from skmeta.datasets import load_debian_packages
from skmeta.exceptions import RankWarning
from skmeta.metrics import (
    RetrievalScorer,
    mean_average_precision,
    median_rank,
    recall_at_k,
)
from skmeta.nn.augment import Affine

DATA = Path(
    os.environ.get("SKMETA_DATA", Path(__file__).parents[3] / "shared" / "data")
)
LINEAR, PLS = "CCAMapper, tuned", "PLS"
DEFAULTS, TUNED = "Neural, defaults", "Neural, tuned"
SUM = "Sum of the two tuned"


# ---- what is compared ----------------------------------------------------------------


def tuned_linear(views, groups, y=None, scoring=None, pls=False, **grid):
    """`CCAMapper`, or PLS, with the best of a grid, cross-validated by groups."""
    grid = {"shrinkage": [0.01, 0.1, 0.3, 0.5], "correlation_power": [1, 2], **grid}
    if pls:
        grid["shrinkage"] = [1.0]
    search = GridSearchCV(
        CCAMapper(), grid, scoring=scoring or RetrievalScorer(), cv=GroupKFold(3)
    )
    return search.fit(views, y, groups=groups).best_estimator_


def choose(candidates, views, groups, y=None, scoring=None):
    """The best of some settings of the neural mapper, on a tenth of the groups."""
    scoring = scoring or RetrievalScorer()
    split = GroupShuffleSplit(1, test_size=0.1, random_state=0)
    train, judge = next(split.split(groups, groups=groups))
    scores = []
    for settings in candidates:
        mapper = neural(settings, views[train], 0, None if y is None else y[train])
        scores.append(scoring(mapper, views[judge], None if y is None else y[judge]))
    best = candidates[int(np.argmax(scores))]
    found = ", ".join(f"{score:.3f}" for score in scores)
    print(f"chosen of {found}: {best}", flush=True)
    return best


def neural(settings, views, seed, y=None):
    return NeuralSharedSpaceMapper(random_state=seed, **settings).fit(views, y)


def unit(Z):
    return Z / np.linalg.norm(Z, axis=1, keepdims=True)


def directions(mapper, views):
    """Coordinates of length one by view, whose products are the similarities."""
    return {name: unit(Z) for name, Z in mapper.transform_views(views).items()}


def together(*spaces):
    """Rows whose products are the sums of several spaces' standardised similarities."""
    first, second = spaces[0]
    sizes = [(Z[first] @ Z[second].T).std() ** 0.5 for Z in spaces]
    pairs = list(zip(spaces, sizes, strict=True))
    return {name: np.hstack([Z[name] / s for Z, s in pairs]) for name in spaces[0]}


def recalls(Z, table, detailed=False):
    """Figures of the row's own partner, both ways."""
    figures = {}
    for query, gallery in (tuple(Z), tuple(Z)[::-1]):
        pair, way = (Z[query], Z[gallery]), f"{query} → {gallery}"
        ten = recall_at_k(*pair, k=10, metric="dot")
        figures[table, f"{way} R@10"] = ten
        if detailed:
            figures[table, f"{way} R@1"] = recall_at_k(*pair, k=1, metric="dot")
            figures[table, f"{way} rank"] = median_rank(*pair, metric="dot")
    both = [v for (_, name), v in figures.items() if name.endswith("R@10")]
    return figures | {(table, "both ways R@10"): np.mean(both)}


def class_precision(Z, y, table):
    """Mean average precision of rows of the query's class, both ways."""
    figures = {}
    for query, gallery in (tuple(Z), tuple(Z)[::-1]):
        labels = dict(y_query=y[query], y_gallery=y[gallery])
        value = mean_average_precision(Z[query], Z[gallery], metric="dot", **labels)
        figures[table, f"{query} → {gallery} mAP"] = value
    return figures | {(table, "both ways mAP"): np.mean(list(figures.values()))}


# ---- emoji: pictures and texts of families never seen --------------------------------


def gradients(grey, cell, n_bins=9):
    """Root of the histograms of gradient directions, by cell of ``cell`` pixels."""
    dy, dx = np.gradient(grey, axis=(1, 2))
    direction = np.arctan2(dy, dx) % np.pi * (n_bins / np.pi)
    away = np.abs(direction[..., None] - np.arange(n_bins))
    share = np.maximum(0, 1 - np.minimum(away, n_bins - away))  # of the two next bins
    votes = share * np.hypot(dx, dy)[..., None]
    n, g = len(grey), 32 // cell
    cells = votes.reshape(n, g, cell, g, cell, n_bins).sum(axis=(2, 4)) / cell
    energy = uniform_filter((cells**2).sum(axis=-1), size=(1, 3, 3), mode="nearest")
    return np.sqrt(cells / np.sqrt(energy + 0.01)[..., None]).reshape(n, -1)


def colours(rgb, alpha, n_levels=6):
    """Mean opponent colours on a 4 x 4 grid, and a histogram of colours."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    opponent = [(red + green + blue) / 3, red - green, blue - (red + green) / 2, alpha]
    grid = np.stack(opponent, axis=-1).reshape(len(rgb), 4, 8, 4, 8, 4)
    level = np.minimum((rgb * n_levels).astype(int), n_levels - 1)
    colour = level @ [n_levels**2, n_levels, 1]
    row = np.arange(len(rgb))[:, None, None] * n_levels**3
    counts = np.bincount((row + colour).ravel(), alpha.ravel(), len(rgb) * n_levels**3)
    histogram = np.sqrt(counts.reshape(len(rgb), -1) / 1024)
    return [grid.mean(axis=(2, 4)).reshape(len(rgb), -1), histogram]


def drawn(images):
    """Blocks of features of RGBA pictures, at several scales."""
    alpha = images[..., 3] / 255
    rgb = images[..., :3] / 255 * alpha[..., None] + 1 - alpha[..., None]  # on white
    grey = rgb @ [0.299, 0.587, 0.114]
    return [gradients(grey, cell) for cell in (4, 8, 16)] + colours(rgb, alpha)


def emoji(n_repeats=5):
    """Both vendors' drawings to learn from, Google's to be found; 300 components."""
    stored = np.load(DATA / "emoji" / "emoji.npz")
    frame = pd.read_csv(DATA / "emoji" / "emoji.csv", keep_default_na=False)
    drawings = [drawn(stored[f"img_{vendor}"]) for vendor in ("google", "twitter")]
    family, flag = frame["family"].to_numpy(), (frame["group"] == "flags").to_numpy()
    text = 20 * stored["minilm_label_keywords"].astype(np.float32)  # unit variance
    n, settings = len(frame), None
    is_test = (frame["split"] == "test").to_numpy()
    splits = [(np.flatnonzero(~is_test), np.flatnonzero(is_test))]
    others = GroupShuffleSplit(n_repeats - 1, test_size=0.14, random_state=0)
    splits += others.split(text, groups=family)
    for seed, (train, test) in enumerate(splits):
        sizes = [np.sqrt(block[train].var(axis=0).sum()) for block in drawings[0]]
        blocks = [
            np.hstack([b / size for b, size in zip(blocks, sizes, strict=True)])
            for blocks in drawings
        ]
        image = np.vstack(blocks).astype(np.float32)
        image /= image[train].std()
        rows = np.r_[train, train + n]
        image = PCA(300, random_state=0).fit(image[rows]).transform(image)
        views = Views(text=np.vstack([text, text]), image=image)
        known, groups = views[rows], np.r_[family[train], family[train]]
        raw = {"standardize": [{"image": False}], "n_components": [150]}
        raw |= {"shrinkage": [0.3, 0.5, 0.7], "correlation_power": [2, 3]}
        if settings is None:
            base = dict(standardize=False, early_stopping=False)
            base |= dict(hidden_layer_sizes=(1024,), n_components=128)
            candidates = [
                base | dict(dropout=dropout, max_iter=n_iter)
                for dropout, n_iter in ((0.5, 40), (0.7, 60))
            ]
            settings = choose(candidates, known, groups)
        mappers = {
            LINEAR: tuned_linear(known, groups, **raw),
            PLS: tuned_linear(known, groups, pls=True, **raw),
            DEFAULTS: neural({"standardize": False}, known, seed),
            TUNED: neural(settings, known, seed),
        }
        figures = {}
        for table, some in (("all", test), ("without flags", test[~flag[test]])):
            spaces = {m: directions(f, views[some]) for m, f in mappers.items()}
            spaces[SUM] = together(spaces[LINEAR], spaces[TUNED])
            for name, Z in spaces.items():
                figures.setdefault(name, {}).update(recalls(Z, table, detailed=True))
            found = csls(mappers[TUNED], known, views[some], table)
            figures.setdefault(f"{TUNED}, CSLS", {}).update(found)
        yield figures


def csls(mapper, known, views, table):
    """As `recalls`, with hubs taken out."""
    figures, own = {}, np.arange(len(views))
    for query, gallery in (tuple(views), tuple(views)[::-1]):
        retriever = CrossModalRetriever(
            FrozenEstimator(mapper), query=query, gallery=gallery, hubness="csls"
        )
        retriever.fit(known).set_gallery(views[gallery])
        _, order = retriever.kneighbors(views[query], n_neighbors=len(views))
        rank = 1 + np.argmax(order == own[:, None], axis=1)
        figures[table, f"{query} → {gallery} R@10"] = np.mean(rank <= 10)
        figures[table, f"{query} → {gallery} R@1"] = np.mean(rank <= 1)
        figures[table, f"{query} → {gallery} rank"] = np.median(rank)
    both = [v for (_, name), v in figures.items() if name.endswith("R@10")]
    return figures | {(table, "both ways R@10"): np.mean(both)}


# ---- digits: images and recordings of the same digit ---------------------------------


def fitted_in(spectrograms, n_frames, width=20):
    """Spectrograms (n, 1, 20, width), each stretched from its own length."""
    result = np.empty((len(spectrograms), spectrograms.shape[1], width), np.float32)
    for i, (rows, n) in enumerate(zip(spectrograms, n_frames, strict=True)):
        at = np.linspace(0, n - 1, width)
        low = np.minimum(at.astype(int), max(n - 2, 0))
        result[i] = rows[:, low] + (at - low) * (rows[:, low + 1] - rows[:, low])
    return result.reshape(len(result), 1, 20, 2, width).mean(axis=3) / 255


def digits(n_repeats=3):
    """The stored speakers to be heard first, in three seeds, then all in turn."""
    clips = np.load(DATA / "speech" / "fsdd.npz")
    stored = np.load(DATA / "speech" / "digits_image_audio.npz")
    n_frames = np.clip(clips["n_frames"].astype(int), 2, 39)
    audio = fitted_in(clips["logmel"].astype(np.float32), n_frames)
    image = stored["images"].reshape(-1, 1, 14, 2, 14, 2).mean(axis=(3, 5)) / 255
    image = image.astype(np.float32)
    y = {"image": stored["image_digit"].astype(int), "audio": clips["digit"]}
    y["audio"] = y["audio"].astype(int)
    names = list(clips["speaker_names"])
    for seed in range(n_repeats):
        figures = {}
        for unheard in dict.fromkeys((SPEAKERS[0], SPEAKERS[seed])):
            hidden = np.isin(clips["speaker"], [names.index(s) for s in unheard])
            seen = stored["image_split"] != "test"
            rng = np.random.default_rng(seed)
            pairs = matched(y, np.flatnonzero(seen), np.flatnonzero(~hidden), rng)
            views = Views(image=image[pairs[0]], audio=audio[pairs[1]])
            target, speaker = y["audio"][pairs[1]], clips["speaker"][pairs[1]]
            test = {"image": ~seen, "audio": hidden}
            test = {
                n: rng.permutation(np.flatnonzero(m))[:1000] for n, m in test.items()
            }
            shown = {"image": image[test["image"]], "audio": audio[test["audio"]]}
            rest = rng.permutation(
                np.setdiff1d(np.flatnonzero(seen), pairs[0][::IMAGES_A_CLIP])
            )[:N_ALONE]
            more = image[rest], y["image"][rest]
            spaces = digit_spaces(views, target, speaker, more, shown, seed)
            labels = {name: y[name][rows] for name, rows in test.items()}
            tables = ["lucas and theo unheard"] if unheard == SPEAKERS[0] else []
            if unheard == SPEAKERS[seed]:
                tables.append("each two speakers unheard")
            for table in tables:
                for name, Z in spaces.items():
                    found = class_precision(Z, labels, table)
                    figures.setdefault(name, {}).update(found)
        yield figures


IMAGES_A_CLIP, N_ALONE = 2, 4912  # 54 batches of 128 with the 2,000 clips
SPEAKERS = (("lucas", "theo"), ("george", "jackson"), ("nicolas", "yweweler"))


def matched(y, images, clips, rng, n_each=IMAGES_A_CLIP):
    """Pairs of rows of the same digit: each clip with some images."""
    pairs = []
    for digit in range(10):
        clip = np.repeat(clips[y["audio"][clips] == digit], n_each)
        pool = images[y["image"][images] == digit]
        pairs.append([np.resize(rng.permutation(pool), len(clip)), clip])
    return np.hstack(pairs)


# Chosen with one of the speakers other than lucas and theo unheard.
BY_DIGIT = dict(
    loss="cross_entropy",
    alignment={"supcon": 1.0},
    fusion="mean",
    encoders={"audio": "conv4"},
    augment={
        "image": Affine(degrees=8, translate=0.05, scale=0.08, shear=5),
        "audio": Affine(degrees=0, translate=0.08, scale=0.12, shear=0),
    },
    learning_rate_init=2e-3,
    batch_size=128,
    max_iter=25,
    early_stopping=False,
)


def digit_spaces(views, target, speaker, more, shown, seed):
    """Spaces of the images and clips shown; ``more`` is images without a clip."""
    flat = {name: rows.reshape(len(rows), -1) for name, rows in views.items()}
    asked = {name: rows.reshape(len(rows), -1) for name, rows in shown.items()}
    grid = dict(y=target, scoring=RetrievalScorer(measure="map", max_gallery=1000))
    grid |= {"n_components": [16], "shrinkage": [0.3, 0.6, 0.9]}
    spaces = {}
    for name, pls in ((LINEAR, False), (PLS, True)):
        mapper = tuned_linear(Views(**flat), speaker, pls=pls, **grid)
        spaces[name] = {n: unit(mapper.transform_view(asked[n], n)) for n in asked}
    spaces["Logistic regressions"] = {
        n: make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=300))
        .fit(flat[n], target)
        .predict_proba(asked[n])
        for n in asked
    }
    mapper = neural({"loss": "supcon"}, views, seed, target)
    spaces[DEFAULTS] = {n: unit(mapper.transform_view(shown[n], n)) for n in shown}
    once = views[::IMAGES_A_CLIP]
    nothing = np.full((len(more[0]), *once["audio"].shape[1:]), np.nan, np.float32)
    known = Views(
        image=np.concatenate([once["image"], more[0]]),
        audio=np.concatenate([once["audio"], nothing]),
    )
    mapper = neural(
        BY_DIGIT, known, seed, np.concatenate([target[::IMAGES_A_CLIP], more[1]])
    )
    spaces[TUNED] = {n: mapper.predict_proba(Views(**{n: shown[n]})) for n in shown}
    return spaces


# ---- omniglot: images of characters and the strokes that drew them -------------------


def omniglot(n_repeats=3):
    """Four of 20 drawers, and 48 of 242 characters, never seen."""
    stored = np.load(DATA / "omniglot" / "omniglot_strokes.npz")
    views = Views(
        image=stored["images"].reshape(-1, 784).astype(np.float32) / 255,
        strokes=stored["strokes"].reshape(-1, 192).astype(np.float32),
    )
    settings = None
    for seed in range(n_repeats):
        figures = {}
        for what, key, share in (
            ("drawers", "drawer", 0.2),
            ("characters", "labels", 0.2),
        ):
            split = GroupShuffleSplit(1, test_size=share, random_state=seed)
            train, test = next(split.split(views, groups=stored[key]))
            known, groups = views[train], stored[key][train]
            if settings is None:
                base = dict(learning_rate_init=3e-3, n_components=64)
                candidates = [base, base | dict(hidden_layer_sizes=(512,))]
                settings = choose(candidates, known, groups)
            grid = {"n_components": [64, 150], "shrinkage": [0.3, 0.5, 0.7]}
            mappers = {
                LINEAR: tuned_linear(known, groups, **grid),
                PLS: tuned_linear(known, groups, pls=True, **grid),
                DEFAULTS: neural({}, known, seed),
                TUNED: neural(settings, known, seed),
            }
            for name, mapper in mappers.items():
                found = recalls(directions(mapper, views[test]), f"unseen {what}")
                figures.setdefault(name, {}).update(found)
        yield figures


# ---- mfeat: two descriptions of the same handwritten digit ---------------------------


def mfeat(n_repeats=3):
    """1,600 digits to learn from and 400 to be found, drawn anew."""
    stored = np.load(DATA / "mfeat" / "mfeat.npz")
    every = Views(
        **{n: stored[n].astype(np.float32) for n in stored if n not in NOT_VIEWS}
    )
    digit, groups = stored["digit"], np.arange(len(stored["digit"]))
    splits = StratifiedShuffleSplit(n_repeats, test_size=400, random_state=0)
    settings = {}
    for seed, (train, test) in enumerate(splits.split(digit, digit)):
        figures = {}
        for pair in (("fou", "pix"), ("zer", "kar"), ("fac", "fou")):
            views = every[list(pair)]
            known, rows = views[train], groups[train]
            if pair not in settings:
                base = dict(learning_rate_init=3e-3, n_components=64)
                candidates = [base, base | dict(batch_size=128)]
                settings[pair] = choose(candidates, known, rows)
            grid = {"shrinkage": [0, 0.01, 0.03, 0.1], "correlation_power": [0, 1, 2]}
            mappers = {
                LINEAR: tuned_linear(known, rows, **grid),
                PLS: tuned_linear(known, rows, pls=True, **grid),
                DEFAULTS: neural({}, known, seed),
                TUNED: neural(settings[pair], known, seed),
            }
            for name, mapper in mappers.items():
                found = recalls(directions(mapper, views[test]), "-".join(pair))
                figures.setdefault(name, {}).update(found)
        yield figures


NOT_VIEWS = ("digit", "split")


# ---- debian: a table and a description of the same package ---------------------------


def debian(n_repeats=4, n_train=6000, n_test=1000):
    """6,000 packages to learn from and 1,000 of other sources, drawn anew."""
    frame = pd.read_parquet(DATA / "debian_packages" / "debian_packages.parquet")
    section = frame["section"].astype(str).to_numpy()
    source = frame["source"].astype(str).to_numpy()
    stored = frame["split"].astype(str).to_numpy() == "test"
    settings = None
    for seed in range(n_repeats):
        rng = np.random.default_rng(seed)
        train = rng.choice(np.flatnonzero(~stored), n_train, replace=False)
        test = rng.choice(np.flatnonzero(stored), n_test, replace=False)
        table, text = package_views(frame.iloc[train])
        make = lambda rows, table=table, text=text: Views(  # noqa: E731
            table=table.transform(frame.iloc[rows]).astype(np.float32),
            text=text.transform(described(frame.iloc[rows])).astype(np.float32),
        )
        known, unknown = make(train), make(test)
        y, groups = section[train], source[train]
        if settings is None:
            base = dict(learning_rate_init=3e-3, n_components=64)
            candidates = [base, base | dict(hidden_layer_sizes=(512,))]
            settings = choose(candidates, known, groups)
        grid = {"n_components": [16, 32], "shrinkage": [0.03, 0.1, 0.3]}
        figures = {}
        for name, pls in ((LINEAR, False), (PLS, True)):
            mapper = tuned_linear(known, groups, pls=pls, **grid)
            steps = make_pipeline(clone(mapper), LogisticRegression(max_iter=1000))
            search = GridSearchCV(
                steps,
                {"logisticregression__C": [3, 30]},
                cv=GroupKFold(2),
            ).fit(known, y, groups=groups)
            accuracy = search.score(unknown, section[test])
            figures[name] = recalls(directions(mapper, unknown), "packages")
            figures[name]["packages", "accuracy"] = accuracy
        for name, given in ((DEFAULTS, {}), (TUNED, settings)):
            mapper = neural(given, known, seed)
            weight = {"alignment": 0.3} if name == TUNED else {}
            classifier = neural(
                given | {"loss": "cross_entropy"} | weight, known, seed, y
            )
            figures[name] = recalls(directions(mapper, unknown), "packages")
            accuracy = classifier.score(unknown, section[test])
            figures[name]["packages", "accuracy"] = accuracy
        yield figures


def described(frame):
    return frame["summary"] + ". " + frame["description"]


def package_views(frame):
    """Transformers of the table and of the text, fitted."""
    columns = load_debian_packages(as_frame=False).columns
    categories = OneHotEncoder(
        min_frequency=10, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    table = make_pipeline(
        make_column_transformer(
            (FunctionTransformer(np.log1p), columns["numeric"]),
            ("passthrough", columns["boolean"]),
            (categories, columns["categorical"]),
        ),
        StandardScaler(),
    )
    text = make_pipeline(
        TfidfVectorizer(min_df=3, sublinear_tf=True, max_features=40_000),
        TruncatedSVD(300, random_state=0),
        Normalizer(),
    )
    return table.fit(frame), text.fit(described(frame))


# ---- tables --------------------------------------------------------------------------

SETS = {f.__name__: f for f in (emoji, digits, omniglot, mfeat, debian)}
FEW_SHOT = {f.__name__: f for f in (sinusoid, sections)}


def interval(values):
    """Half the width of the 95 % interval of a mean, of columns of repeats."""
    n = len(values)
    return t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)


def tables(repeats):
    """By table: a frame of methods and figures, as text."""
    methods = {
        name: pd.DataFrame([figures[name] for figures in repeats])
        for name in repeats[0]
    }
    for name in (TUNED, SUM):
        if {name, LINEAR} <= methods.keys():
            methods[f"Lead over {LINEAR}: {name}"] = methods[name] - methods[LINEAR]
    cells = {
        name: [
            f"{mean:.3g} ± {half:.2g}"
            if "rank" in figure
            else f"{mean:.3f} ± {half:.3f}"
            for (_, figure), mean, half in zip(
                frame.columns, frame.mean(), interval(frame), strict=True
            )
        ]
        for name, frame in methods.items()
    }
    columns = next(iter(methods.values())).columns
    every = pd.DataFrame(cells, index=pd.MultiIndex.from_tuples(columns)).T
    return {name: every[name] for name in every.columns.unique(0)}


def as_rst(frame):
    """A list-table."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    rows = [
        ["", *frame.columns],
        *([name, *row] for name, row in zip(frame.index, frame.values, strict=True)),
    ]
    for row in rows:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "sets", nargs="*", help=f"of {[*SETS, *FEW_SHOT]}; {len(SETS)} by default"
    )
    parser.add_argument("--rst", action="store_true", help="tables for the docs")
    options = parser.parse_args()
    every = SETS | FEW_SHOT
    if unknown := [name for name in options.sets if name not in every]:
        parser.error(f"{unknown[0]!r} is unknown; the sets are {list(every)}.")
    torch.set_num_threads(1)
    for category in (ConvergenceWarning, RankWarning):
        warnings.simplefilter("ignore", category)
    for name in options.sets or SETS:
        folder = FOLDERS.get(name, name)
        if folder is not None and not (DATA / folder).is_dir():
            print(f"{name} is not here; SKMETA_DATA names the folder of the sets")
            continue
        repeats = list(every[name]())
        for title, frame in tables(repeats).items():
            print(f"\n{name}, {title}: {len(repeats)} repeats\n")
            print(as_rst(frame) if options.rst else frame.to_string(), flush=True)


FOLDERS = {
    "digits": "speech",
    "debian": "debian_packages",
    "sections": "debian_packages",
    "sinusoid": None,
}

if __name__ == "__main__":
    main()
