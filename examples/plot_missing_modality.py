"""
Do without the modality that a row lacks
========================================

Real rows have gaps: a package without a description, a patient of whom one of several
measurements was not taken. A mapper that has learned how two modalities go together
fills the gap in the shared space, by the conditional mean given what is there. This
example asks what that is worth beside the usual remedies, on two tables:

* Debian packages, a table and a text. Texts are missing in training, in prediction or
  in both, and the section of the archive is to be predicted;
* breast cancer, ten measurements of cell nuclei in two forms: their means, and their
  worst values. Of 30 % of the patients one of the two blocks is missing.
"""

# %%
# Packages: a table and a text
# ----------------------------
#
# The stored split is by source package, since packages of one source have nearly the
# same description. A text that is missing is null.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    Normalizer,
    OneHotEncoder,
    StandardScaler,
)

from skmeta import CCAMapper, Views
from skmeta.datasets import load_debian_packages
from skmeta.plotting import ScreeDisplay

packages = load_debian_packages(as_frame=True)
columns = packages.columns
table_columns = columns["numeric"] + columns["boolean"] + columns["categorical"]
X = packages.data[table_columns].assign(
    text=packages.data["summary"] + ". " + packages.data["description"]
)
known, test = packages.split != "test", packages.split == "test"
X_known, y_known = X[known], packages.target[known]
X_test, y_test = X[test], packages.target[test]
fold = np.where(packages.split[known] == "valid", 0, -1)  # -1: always to learn from


def hide(frame, share, rng):
    """The rows, with the text of a random share of them set to null."""
    return frame.assign(text=frame["text"].where(rng.random(len(frame)) >= share))


# %%
# Three ways without a mapper and four with one
# ---------------------------------------------
#
# Without a mapper there is the table alone; table and text side by side, where a
# missing text is the empty string and so a row of zeros; and the same once more, where
# each row is learned from twice, the second time with its text hidden, so that the
# classifier has seen what it is to go without.

numbers = make_pipeline(
    FunctionTransformer(np.log1p, feature_names_out="one-to-one"), StandardScaler()
)
categories = OneHotEncoder(
    min_frequency=10, handle_unknown="infrequent_if_exist", sparse_output=False
)
table = make_pipeline(
    make_column_transformer(
        (numbers, columns["numeric"]),
        ("passthrough", columns["boolean"]),
        (categories, columns["categorical"]),
    ),
    StandardScaler(),
)
text = make_pipeline(
    TfidfVectorizer(min_df=2, sublinear_tf=True),
    TruncatedSVD(n_components=100, random_state=0),
    Normalizer(),
)


def no_nulls(texts):
    """The texts, the missing ones empty."""
    return texts.fillna("")


table_alone = ColumnTransformer([("table", table, table_columns)])
side_by_side = ColumnTransformer(
    [
        ("table", table, table_columns),
        ("text", make_pipeline(FunctionTransformer(no_nulls), *text), "text"),
    ],
    transformer_weights={"text": 6},  # brings both blocks to about the same variance
)

# %%
# The mapper needs no such care: in `fit` a row whose text is null has no text, and in
# `transform` its coordinates of the text are expected from those of the table. A
# kernel map lets it relate combinations of the table's columns to the text. (Without a
# mapper that map changes no accuracy below by more than .015, up or down.) Fusions
# differ in what the classifier gets, and the table itself may stand beside them.

kernel_table = make_pipeline(
    *table, Nystroem(gamma=0.003, n_components=200, random_state=0)
)
mapper = CCAMapper(
    100,
    views=ColumnTransformer(
        [("table", kernel_table, table_columns), ("text", text, "text")]
    ),
    correlation_power=1,
    standardize={"text": False},
)

# %%
# How much of a text a table can stand in for shows in the correlations of their
# coordinates: in the rows that are learned from, and in the test rows.

shared = clone(mapper).fit(X_known)
scree = ScreeDisplay.from_estimator(shared, X_test)
scree.figure_.savefig("missing_correlations.png", dpi=120)

# %%
# The contenders:

contenders = {
    "table alone": table_alone,
    "empty string": side_by_side,
    "empty string, rows twice": side_by_side,
    'mapper, fusion="concat"': mapper,
    'mapper, fusion="posterior"': clone(mapper).set_params(fusion="posterior"),
    'mapper, fusion="text"': clone(mapper).set_params(fusion="text"),
    'table + mapper, fusion="text"': make_union(
        table_alone, clone(mapper).set_params(fusion="text")
    ),
}

# %%
# Texts missing in training, in prediction, or in both
# ----------------------------------------------------
#
# All contenders choose C of their logistic regression from the same five, on the
# validation rows, whose texts are missing as in training. With half of the training
# texts missing, three draws of which ones are averaged.

shares = (0.0, 0.5, 1.0)


def learn(step, rows, copies=1):
    """Any step before a logistic regression, whose C is tuned."""
    tuned = GridSearchCV(
        LogisticRegression(max_iter=1000, tol=1e-3),
        {"C": [0.01, 0.03, 0.1, 0.3, 1]},
        cv=PredefinedSplit(np.tile(fold, copies)),
    )
    rows = pd.concat([rows, rows.assign(text=None)][:copies], ignore_index=True)
    return make_pipeline(clone(step), tuned).fit(rows, np.tile(y_known, copies))


results = []
for in_training, n_draws in ((0.0, 1), (0.5, 3)):
    for draw in range(n_draws):
        rng = np.random.default_rng(draw)
        rows = hide(X_known, in_training, rng)
        judged = {share: hide(X_test, share, rng) for share in shares}
        for name, step in contenders.items():
            model = learn(step, rows, copies=2 if "twice" in name else 1)
            results += [
                (name, in_training, share, model.score(judged[share], y_test))
                for share in shares
            ]
results = pd.DataFrame(
    results, columns=["contender", "in training", "in prediction", "accuracy"]
)
accuracy = results.groupby(
    ["contender", "in training", "in prediction"], sort=False
).mean()["accuracy"]
print("Accuracy on the test rows, by the share of missing texts")
print(accuracy.unstack(["in training", "in prediction"]).round(3).to_string())
alone = accuracy["table alone"].iloc[0]
error = np.sqrt(alone * (1 - alone) / len(y_test))
print(f"\nStandard error of {alone:.3f} on {len(y_test)} rows: {error:.3f}")

# %%
# Where no training row has a text there is nothing to learn about texts. The mapper
# says so, and so does the vectorizer; the table alone is all that is left, at the same
# accuracy whatever is missing in prediction.

for name in ("empty string", 'mapper, fusion="concat"'):
    try:
        learn(contenders[name], hide(X_known, 1, rng))
    except ValueError as message:
        print(f"{name}: {message}")

# %%
# The picture: accuracy in prediction as texts go missing, for the three contenders that
# matter most.

shown = {
    "table alone": ("table alone", "0.6"),
    "empty string": ("empty string for a missing text", "tab:orange"),
    'table + mapper, fusion="text"': ("table + mapped text", "tab:blue"),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
for ax, in_training in zip(axes, (0.0, 0.5), strict=True):
    for name, (label, color) in shown.items():
        line = accuracy[name, in_training]
        ax.errorbar(
            100 * line.index, line, yerr=error, color=color, marker="o", label=label
        )
    ax.set_xticks([0, 50, 100])
    ax.set_xlabel("texts missing in prediction (%)")
    ax.set_title(f"{100 * in_training:.0f} % of texts missing in training")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("accuracy (bars: standard error)")
axes[0].legend(frameon=False, loc="lower left")
figure.savefig("missing_text.png", dpi=120)

# %%
# What mapping is worth here: where texts are missing in prediction alone it keeps the
# classifier from being misled (.698 where the empty string has .641, which is below the
# .682 of the table alone), since the coordinates of a missing text are what the table
# leads one to expect. Where texts were missing in training too, the classifier has
# learned to do without, and the difference is within two standard errors. Where no text
# is missing, mapping changes nothing. The mapped text alone, without the table beside
# it, is worse than the table.

# %%
# Patients: one of two blocks is missing
# --------------------------------------
#
# Means against worst values, 200 patients to learn from. Each patient lacks one of the
# blocks with probability .3, in training and in prediction. The other rows are the
# test. What is missing is filled in by the column's mean, by a ridge regression of each
# block on the other one, or by a mapper; then a logistic regression predicts the
# diagnosis.

cancer = load_breast_cancer()
blocks = {"average": slice(0, 10), "worst": slice(20, 30)}
measured = np.hstack([cancer.data[:, where] for where in blocks.values()])
first, second = slice(0, 10), slice(10, 20)


def gaps(rows, rng):
    """The rows, of which 30 % lack the one or the other block."""
    rows = rows.copy()
    lacking = rng.random(len(rows)) < 0.3
    which = rng.random(len(rows)) < 0.5
    rows[np.ix_(lacking & which, range(10))] = np.nan
    rows[np.ix_(lacking & ~which, range(10, 20))] = np.nan
    return rows


def as_views(rows):
    """Two views, a missing block being a row of NaN."""
    return Views(average=rows[:, first], worst=rows[:, second])


def filled_by_mapper(unpaired):
    """Fill each block from the other one, by ten components."""

    def fill(train, test):
        mapper = CCAMapper(10, unpaired=unpaired).fit(as_views(train))
        return [
            np.where(
                np.isnan(rows),
                np.hstack([_from_other(mapper, rows, name) for name in blocks]),
                rows,
            )
            for rows in (train, test)
        ]

    return fill


def _from_other(mapper, rows, target):
    source, where = ("worst", second) if target == "average" else ("average", first)
    predicted = np.full((len(rows), 10), np.nan)
    has = ~np.isnan(rows[:, where]).any(axis=1)
    predicted[has] = mapper.predict_view(
        rows[has][:, where], source=source, target=target
    )
    return predicted


def filled_by_mean(train, test):
    """Fill each column by its mean."""
    imputer = SimpleImputer().fit(train)
    return imputer.transform(train), imputer.transform(test)


def filled_by_ridge(train, test):
    """Fill each block by a ridge regression on the other one, of the complete rows."""
    complete = train[~np.isnan(train).any(axis=1)]
    filled = [train.copy(), test.copy()]
    for source, target in ((first, second), (second, first)):
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))
        model.fit(complete[:, source], complete[:, target])
        for rows, result in zip((train, test), filled, strict=True):
            gap = np.isnan(rows[:, target]).any(axis=1)
            result[gap, target] = model.predict(rows[gap][:, source])
    return filled


remedies = {
    "column mean": filled_by_mean,
    "ridge regression": filled_by_ridge,
    'mapper, unpaired="drop"': filled_by_mapper("drop"),
    'mapper, unpaired="em"': filled_by_mapper("em"),
}
outcomes = []
for draw in range(20):
    rng = np.random.default_rng(draw)
    order = rng.permutation(len(measured))
    known, unknown = order[:200], order[200:]
    train, test = gaps(measured[known], rng), gaps(measured[unknown], rng)
    hidden = np.isnan(test)
    for name, fill in remedies.items():
        filled_train, filled_test = fill(train, test)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
        model.fit(filled_train, cancer.target[known])
        right = model.score(filled_test, cancer.target[unknown])
        truth = measured[unknown]
        explained = np.mean(
            [
                r2_score(truth[gap, j], filled_test[gap, j])
                for j, gap in enumerate(hidden.T)
            ]
        )
        outcomes.append((name, right, explained))
outcomes = pd.DataFrame(outcomes, columns=["remedy", "accuracy", "R2 of the block"])
summary = outcomes.groupby("remedy", sort=False).agg(["mean", "std"])
print("Breast cancer, 20 draws: diagnosis, and how well the missing block is found")
print(summary.round(3).to_string())

# %%
# The picture: each dot is a draw.

figure, axes = plt.subplots(1, 2, figsize=(9, 2.9), sharey=True, layout="constrained")
jitter = np.random.default_rng(0).uniform(-0.15, 0.15, 20)
titles = {
    "R2 of the block": "variance explained of the missing block",
    "accuracy": "accuracy of the diagnosis",
}
for ax, (column, title) in zip(axes, titles.items(), strict=True):
    for place, name in enumerate(remedies):
        values = outcomes.loc[outcomes["remedy"] == name, column]
        color = "tab:blue" if "mapper" in name else "tab:orange"
        ax.plot(values, place + jitter, ".", color=color, alpha=0.5)
        ax.plot(values.mean(), place, "|", color="black", markersize=18)
    ax.set_title(title)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_yticks(range(len(remedies)), remedies)
axes[0].invert_yaxis()
figure.savefig("missing_block.png", dpi=120)

# %%
# The mapper explains .78 of the variance of the missing block, and so does a ridge
# regression of one block on the other: with two blocks that is the same thing done by
# hand, for each direction. For the diagnosis it is worth next to nothing: .961 with
# column means, .966 with the regressions, .964 and .965 with the mapper, at a standard
# deviation of .008 over draws, because either block nearly suffices for it. EM and
# "drop" do not differ here: the complete rows, about 140, say enough of how the blocks
# go together. What the mapper adds is that one fit serves any pattern of what is
# missing, inside a pipeline.
