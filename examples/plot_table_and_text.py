"""
Predict from a table with a text column
=======================================

Many tables have a column of text beside their numbers and categories. Here it is a
table of Debian packages: sizes, counts of dependencies, the maintainers' team, and a
description of each. The section of the archive that a package belongs to is to be
predicted.

The usual way is to put the columns of both side by side before a classifier.
:class:`~skmeta.CCAMapper` is another: it maps table and text into one shared space, in
which each row's table comes to lie near its own text. For that it needs no labels, only
the pairs of table and text that every row is. This example

* tunes a pipeline with a mapper by one `GridSearchCV`, over the mapping, the way in
  which the two are fused and the settings of the text, beside plain concatenation;
* fits the mapper on all rows without their labels, and looks at how many labels a
  classifier needs after it.

With all labels concatenation does as well. With few labels and many rows the mapper
wins.
"""

# %%
# The rows
# --------
#
# Packages that are built from one source have nearly the same description, so rows are
# split by source: the stored split does so, and so do the folds below. Summary and
# description become one column of text.

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    Normalizer,
    OneHotEncoder,
    StandardScaler,
)

from skmeta import CCAMapper
from skmeta.datasets import load_debian_packages
from skmeta.plotting import ScreeDisplay

packages = load_debian_packages()
columns = packages.columns
table_columns = columns["numeric"] + columns["boolean"] + columns["categorical"]

X = packages.data[table_columns].assign(
    text=packages.data["summary"] + ". " + packages.data["description"]
)
y = packages.target
train, valid, test = (
    np.flatnonzero(packages.split == name) for name in ("train", "valid", "test")
)
known = np.sort(np.r_[train, valid])

print(
    f"{len(known)} rows to learn from, {len(test)} to test on, {y.nunique()} sections"
)
X.iloc[:3]

# %%
# Two views of a row
# ------------------
#
# A `ColumnTransformer` says what is made of the table and of the text. The table's
# columns are brought to one scale and then go through an approximate kernel map, so
# that what comes after can use combinations of them. The text becomes 100 dimensions
# of latent semantic analysis. `memory=` stores what the text became, so that a search
# does not count the same words for every candidate.

cache = TemporaryDirectory()

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
    Nystroem(gamma=0.003, n_components=200, random_state=0),
)
text = make_pipeline(
    TfidfVectorizer(min_df=2, sublinear_tf=True),
    TruncatedSVD(n_components=100, random_state=0),
    Normalizer(),
    memory=cache.name,
)
views = ColumnTransformer([("table", table, table_columns), ("text", text, "text")])

# %%
# One search over mapping, fusion and text
# ----------------------------------------
#
# The same `ColumnTransformer` stands before the classifier in both pipelines: as the
# views of a mapper, and as it is. In the first, everything has a name that a search can
# reach: how far the mapper shrinks its covariances, how little components count that
# correlate little, how the coordinates of the two views become one row, and how many
# dimensions the text has before it is mapped.

mapped = make_pipeline(
    CCAMapper(100, views=views, standardize={"text": False}),
    LogisticRegression(C=0.3, max_iter=1000, tol=1e-3),
)
search = GridSearchCV(
    mapped,
    [
        {
            "ccamapper__fusion": ["concat", "mean", "posterior", "text"],
            "ccamapper__shrinkage": ["auto", 0.3],
            "ccamapper__correlation_power": [1],
            "ccamapper__views__text__truncatedsvd__n_components": [100, 200],
        },
        {
            "ccamapper__fusion": ["concat"],
            "ccamapper__shrinkage": ["auto"],
            "ccamapper__correlation_power": [0, 2],
            "ccamapper__views__text__truncatedsvd__n_components": [100, 200],
        },
    ],
    cv=GroupKFold(3),
    n_jobs=2,
)
search.fit(X.iloc[known], y.iloc[known], groups=packages.groups[known])

# %%
# Concatenation gets a search of its own, with the kernel map and without it. Weights
# bring its two blocks to about the same size: the variances of the scaled table sum to
# 34, those of the kernel map to 0.2, those of the text to 0.9.

plain = make_pipeline(views, LogisticRegression(max_iter=1000, tol=1e-3))
text_dimensions = {"columntransformer__text__truncatedsvd__n_components": [100, 200]}
strength = {"logisticregression__C": [0.05, 0.2]}
plain_search = GridSearchCV(
    plain,
    [
        {
            "columntransformer__table__nystroem": ["passthrough"],
            "columntransformer__transformer_weights": [{"text": 6}],
            **text_dimensions,
            **strength,
        },
        {
            "columntransformer__transformer_weights": [{"table": 15, "text": 6}],
            **text_dimensions,
            **strength,
        },
    ],
    cv=GroupKFold(3),
    n_jobs=2,
)
plain_search.fit(X.iloc[known], y.iloc[known], groups=packages.groups[known])

# %%
# Of the fusions, the coordinates of both views side by side are best: the classifier
# then weighs them itself. `"text"` keeps those of the text alone, and loses what only
# the table says. Concatenation does about as well as the best mapper, in
# cross-validation and on the test rows, where an accuracy has a standard error of .013.
# A shared space keeps what table and text have in common; with 3,000 labels a
# classifier finds its way through all columns as well.

tried = pd.DataFrame(search.cv_results_["params"])
tried = tried.rename(columns=lambda name: name.split("__")[-1])
tried = tried.rename(columns={"n_components": "text_dimensions"})
tried["accuracy"] = search.cv_results_["mean_test_score"]
best = tried.loc[tried.groupby("fusion")["accuracy"].idxmax()]
print("Cross-validation, the best of each fusion")
print(best.sort_values("accuracy").round(3).to_string(index=False))
print(f"Concatenation without a mapper: {plain_search.best_score_:.3f}\n")
print("Test rows")
print(f"  best mapper    {search.score(X.iloc[test], y.iloc[test]):.3f}")
print(f"  concatenation  {plain_search.score(X.iloc[test], y.iloc[test]):.3f}\n")
search

# %%
# Few labels, many rows
# ---------------------
#
# Labels cost work, rows come by themselves. So now the mapper is fitted once, on all
# known rows and without a label. Then `FrozenEstimator` keeps it as it is, in a
# pipeline whose classifier sees 100, 400, 2,000 or all labels. Concatenation is given
# the same: its words, dimensions and scales come from all known rows too. It has the
# scaled table without the kernel map, which does it no good with few labels.

mapper = CCAMapper(
    100,
    views=views,
    correlation_power=1,
    shrinkage={"text": 0.5},
    standardize={"text": False},
).fit(X.iloc[known])

side_by_side = ColumnTransformer(
    [("table", make_pipeline(*table[:-1]), table_columns), ("text", text, "text")],
    transformer_weights={"text": 6},
).fit(X.iloc[known])

# %%
# How much a table and a text have in common: the correlations of their coordinates in
# the rows that the mapper has seen, and in the test rows. The first ones hold; of the
# last, most is chance, and `correlation_power=1` gives them their small weight.

scree = ScreeDisplay.from_estimator(mapper, X.iloc[test])
scree.figure_.savefig("table_and_text_correlations.png", dpi=120)

# %%
# `cv=` takes any list of pairs of rows to learn from and rows to judge on, so also
# random draws of labelled rows. The strength of the classifier, C, is chosen for each
# number of labels on the validation rows, the same way for both.


def draws(rows, n_labels, judge, n_draws=5):
    """Pairs of labelled rows and rows to judge on, the same for all."""
    if n_labels >= len(rows):
        return [(rows, judge)]
    return [
        (np.random.default_rng(i).choice(rows, n_labels, replace=False), judge)
        for i in range(n_draws)
    ]


classifier = LogisticRegression(max_iter=1000, tol=1e-3)
curves = []
for name, step in {"mapper": mapper, "concatenation": side_by_side}.items():
    Z = step.transform(X)  # frozen: the same whatever the labels
    for n_labels in (100, 400, 2000, len(known)):
        tuned = GridSearchCV(
            classifier,
            {"C": [0.1, 0.3, 1, 3]},
            cv=draws(train, n_labels, valid),
            refit=False,
            n_jobs=2,
        ).fit(Z, y)
        tuned_classifier = clone(classifier).set_params(**tuned.best_params_)
        model = make_pipeline(FrozenEstimator(step), tuned_classifier)
        judged = draws(known, n_labels, test)
        scores = cross_val_score(model, X, y, cv=judged, n_jobs=2)
        curves += [
            {"before the classifier": name, "labels": n_labels, "accuracy": score}
            for score in scores
        ]
curves = pd.DataFrame(curves)
by = ["before the classifier", "labels"]
means = curves.groupby(by, sort=False)["accuracy"].mean().unstack()
print("Accuracy on the test rows by number of labels, mean of five draws")
print(means.round(3).to_string())

# %%
# With 100 labels the mapper is ahead by .03, from 400 labels on by about .01.
# What the mapper knows without labels is which combinations of columns tell
# something about the text, and which words tell something about the table.
#
# The more rows it sees, the more it knows. On the full set, of which this is a part,
# with 24,000 unlabelled rows and 42 sections, it has .628 against .583 at 100 labels
# and .710 against .683 at 400 (``tests/benchmarks/test_label_efficiency.py``).

# %%
# The picture shows both parts.

BLUE, ORANGE = "#0072B2", "#D55E00"  # also told apart by the colour-blind
fig, (left, right) = plt.subplots(
    1, 2, figsize=(11, 4.6), width_ratios=[1, 1.25], layout="constrained"
)

names = {
    "text": 'text\'s coordinates\nfusion="text"',
    "posterior": 'posterior mean\nfusion="posterior"',
    "mean": 'mean of both\nfusion="mean"',
    "concat": 'both side by side\nfusion="concat"',
}
for place, fusion in enumerate(names):
    scores = tried.loc[tried["fusion"] == fusion, "accuracy"]
    left.plot(scores, [place] * len(scores), "o", color=BLUE, alpha=0.45)
    left.plot(scores.max(), place, "|", color=BLUE, markersize=22, markeredgewidth=2)
scores = plain_search.cv_results_["mean_test_score"]
left.plot(scores, [len(names)] * len(scores), "s", color=ORANGE, alpha=0.45)
left.plot(max(scores), len(names), "|", color=ORANGE, markersize=22, markeredgewidth=2)
left.set_yticks(range(len(names) + 1), [*names.values(), "no mapper:\nconcatenation"])
left.set(
    title="All labels: every candidate of the two searches",
    xlabel="accuracy in cross-validation",
    ylim=(-0.6, len(names) + 0.6),
)
left.grid(axis="x", alpha=0.3)

styles = {"mapper": (BLUE, "o-", 0.97), "concatenation": (ORANGE, "s--", 1.03)}
for name, (colour, style, shift) in styles.items():
    scores = curves[curves["before the classifier"] == name]
    place = scores["labels"] * shift
    right.plot(place, scores["accuracy"], style[0], color=colour, alpha=0.35, ms=4)
    right.plot(means.columns * shift, means.loc[name], style, color=colour, label=name)
right.set_xscale("log")
right.set_xticks(means.columns, [f"{n:,}" for n in means.columns])
right.minorticks_off()
right.set(
    title="Few labels: means and single draws",
    xlabel="labelled rows",
    ylabel="accuracy on the test rows",
)
right.legend(loc="lower right", frameon=False)
right.grid(alpha=0.3)

cache.cleanup()
fig.savefig("table_and_text.png", dpi=150)
print(f"Picture: {Path('table_and_text.png').resolve()}")
plt.show()
