"""
Look at a mapping
=================

Every picture of :mod:`skmeta.plotting` once, on real data: handwritten digits described
in several ways, Debian packages with a table and a text, and spoken words.
"""

# %%
# Do partners lie near each other?
# --------------------------------
# Each digit has a point for its Fourier coefficients and one for its pixels, and a line
# between the two. Names stand in the middle of their class.

import matplotlib.pyplot as plt
import numpy as np

from skmeta import CCAMapper, CCAMapperCV, CrossModalRetriever, Views
from skmeta.datasets import load_debian_packages, load_mfeat, load_spoken_words
from skmeta.inspection import permutation_test_components
from skmeta.metrics import RetrievalScorer
from skmeta.plotting import (
    CorrelationCircleDisplay,
    CrossViewHeatmapDisplay,
    LoadingsDisplay,
    PairsCurveDisplay,
    RetrievalDisplay,
    ScreeDisplay,
    SearchSurfaceDisplay,
    SharedSpaceDisplay,
)

digits = load_mfeat()
train, test = digits.split != "test", digits.split == "test"
views = digits.views[["fou", "pix"]]
mapper = CCAMapper(16, shrinkage=0.1).fit(views[train])
few = test & (digits.target < 5)

SharedSpaceDisplay.from_estimator(mapper, views[few], labels=digits.target[few])

# %%
# Which classes go together?
# --------------------------
# Mean cosine of the Fourier coefficients of one digit and the pixels of another. They
# hardly know a 6 from a 9: the one is the other, turned.

CrossViewHeatmapDisplay.from_estimator(mapper, views[test], labels=digits.target[test])

# %%
# With several views: how much of a view's variance (the row's) is common with another
# (the column's).

CrossViewHeatmapDisplay.from_relations(CCAMapper(6).fit(digits.views[train]))

# %%
# How many components are more than chance?
# -----------------------------------------
# A permutation test of the largest correlation that is left, on 300 rows, and the
# correlations of rows that were not seen.

pair = digits.views[["zer", "mor"]]
some = np.flatnonzero(train)[::5]
small = CCAMapper(6, shrinkage=0).fit(pair[some])
found = permutation_test_components(
    small, pair[some], statistic="roy", n_permutations=499, random_state=0
)
ScreeDisplay.from_estimator(small, pair[test], test=found)
print("p-values of zer and mor:", found.pvalues.round(3))

# %%
# Which fit?
# ----------
# A whole path of shrinkages, each with several numbers of components. The star is the
# choice of `CCAMapperCV`: the fewest components within a standard error of the best.

search = CCAMapperCV(
    shrinkages=np.geomspace(0.01, 1, 7), n_components=[4, 8, 16, 32]
).fit(views[train])
SearchSurfaceDisplay.from_search(search, "n_components", "shrinkage")
print("chosen:", search.best_params_["n_components"], "components")

# %%
# Would more pairs help?
# ----------------------
# How often the right pixels are among the ten nearest of 200, by number of pairs.

curve = None
for name, shrinkage in {"shrunk by .3": 0.3, "hardly shrunk, .01": 0.01}.items():
    curve = PairsCurveDisplay.from_estimator(
        CCAMapper(16, shrinkage=shrinkage),
        views[train],
        n_pairs=(50, 100, 200, 400, 800, 1200),
        scoring=RetrievalScorer(k=10, max_gallery=200),
        random_state=0,
        name=name,
        quantity="recall@10",
        ax=None if curve is None else curve.ax_,
    )

# %%
# Which columns make a component?
# -------------------------------
# Numbers of a package, and the frequent words of its description.

from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

packages = load_debian_packages()
numbers = packages.columns["numeric"] + packages.columns["boolean"]
logs = FunctionTransformer(
    lambda X: np.log1p(X.astype(float)), feature_names_out="one-to-one"
)
both = ColumnTransformer(
    [
        ("table", make_pipeline(logs, StandardScaler()), numbers),
        ("text", TfidfVectorizer(min_df=60, stop_words="english"), "description"),
    ]
)
packed = CCAMapper(6, views=both, shrinkage=0.3).fit(packages.data)
LoadingsDisplay.from_estimator(packed, component=2, n_columns=10)

# %%
# Two components at once: columns that point the same way go together, whichever view
# they are of.

CorrelationCircleDisplay.from_estimator(packed, components=(1, 2), n_labels=16)

# %%
# The same as a table, of all components: columns against words.

CrossViewHeatmapDisplay.from_columns(packed, n_columns=12)

# %%
# What is found?
# --------------
# A word spoken by one voice is looked for among recordings by another. Queries are
# spectrograms; of the hits we write the word.

spoken = load_spoken_words()
voices = np.unique(spoken.voice)
order = [
    np.flatnonzero(spoken.voice == v)[np.argsort(spoken.word[spoken.voice == v])]
    for v in voices[:2]
]
heard = Views(
    **{
        name: spoken.logmel[rows].reshape(500, -1) / 255.0
        for name, rows in zip(("one", "other"), order, strict=True)
    }
)
word, split = spoken.word[order[0]], spoken.split[order[0]]
new = np.flatnonzero(split == "test")
retriever = CrossModalRetriever(CCAMapper(32, shrinkage=0.5))
retriever.fit(heard[split != "test"]).set_gallery(heard["other"][new], ids=word[new])
asked = new[::9]
display = RetrievalDisplay.from_estimator(
    retriever,
    heard["one"][asked],
    query_items=spoken.logmel[order[0]][asked, ::-1],
    gallery_items=list(word[new]),
    correct=list(word[asked]),
    n_hits=4,
    cmap="magma",
)
display.ax_.set_title(f"Words nearest to a recording, among {len(new)}", loc="left")
plt.show()
