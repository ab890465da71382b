"""
Linear or neural mapping?
=========================

`NeuralSharedSpaceMapper` stands wherever `CCAMapper` stands, so that one search can
choose between them. Two cases: what two views share is a square, which no linear map
sees; and real digits, where 76 Fourier coefficients, which do not know where in the
picture something is, are to find their picture.

It needs torch: ``pip install "skmeta[torch]"``.
"""

# %%
# What a linear map cannot see
# ----------------------------
# The second view holds squares of the factors that the first one holds. Linearly the
# two are uncorrelated; functions of them correlate by .9 and .7.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skmeta import CCAMapper, NeuralSharedSpaceMapper
from skmeta.datasets import load_mfeat, make_paired_views

warnings.simplefilter("ignore", ConvergenceWarning)

made = make_paired_views(5000, n_features=(10, 12), nonlinear=True, random_state=0)
known, new = made.views[:4000], made.views[4000:]

linear = CCAMapper(2, correlation_power=0).fit(known)
neural = NeuralSharedSpaceMapper(2, loss="cca_ey", random_state=0).fit(known)

print("Summed correlation of two components, of rows never seen (at most 1.6):")
for name, mapper in (("linear", linear), ("neural", neural)):
    print(f"  {name}: {mapper.score(new):.2f}")

# %%
# The first component of one view against that of the other: linearly it is a cloud.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
for axis, (name, mapper) in zip(
    axes, (("linear", linear), ("neural", neural)), strict=True
):
    Z = mapper.transform_views(new)
    first, second = Z["view0"][:, 0], Z["view1"][:, 0]
    axis.scatter(first, second, s=6, alpha=0.4, color="#0072B2", lw=0)
    r = np.corrcoef(first, second)[0, 1]
    axis.set(title=f"{name}: correlation {r:.2f}", xlabel="first view", ylabel="second")
    axis.spines[["top", "right"]].set_visible(False)
figure.suptitle("The first component of rows never seen", x=0.01, ha="left")
figure.savefig("neural_planted.png", dpi=100)

# %%
# One search over both
# --------------------
# By recall@10 of the picture of a digit's Fourier coefficients, in three folds of the
# training digits. The mapper itself is a choice of the grid.

from sklearn.model_selection import GridSearchCV, KFold

from skmeta import CrossModalRetriever

mfeat = load_mfeat()
train, test = mfeat.split != "test", mfeat.split == "test"
views = mfeat.views[["fou", "pix"]]

search = GridSearchCV(
    CrossModalRetriever(CCAMapper(), query="fou", gallery="pix", k=10),
    [
        {"mapper": [CCAMapper(32)], "mapper__shrinkage": ["auto", 0.3]},
        {
            "mapper": [NeuralSharedSpaceMapper(32, random_state=0)],
            "mapper__loss": ["info_nce", "cca"],
        },
    ],
    cv=KFold(3, shuffle=True, random_state=0),
).fit(views[train])

print(f"\n{'recall@10 of three folds':<44}{'':>8}")
for parameters, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    rest = {k.removeprefix("mapper__"): v for k, v in parameters.items()}
    name = type(rest.pop("mapper")).__name__
    print(f"  {name:<24}{rest!s:<26}{score:.3f}")

best = search.best_estimator_
fitted = best.mapper_
tuned = CrossModalRetriever(CCAMapper(32, shrinkage=0.3), query="fou", gallery="pix")
print(f"\nrecall@10 of {test.sum()} digits never seen")
print(f"  the best of them: {best.score(views[test]):.3f}")
print(f"  the linear one: {tuned.fit(views[train]).score(views[test]):.3f}")

# %%
# How it trained
# --------------
# A tenth of the rows was held out: the fit stops when their partners are no longer
# found better, and the best weights are kept.

figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
epochs = np.arange(1, fitted.n_iter_ + 1)
axis.plot(epochs, fitted.loss_curve_, color="#0072B2")
axis.set_xlabel("pass over the training rows")
axis.set_ylabel("loss", color="#0072B2")
axis.spines[["top", "right"]].set_visible(False)
if fitted.validation_scores_:
    other = axis.twinx()
    other.plot(epochs, fitted.validation_scores_, color="#D55E00")
    kept = int(np.argmax(fitted.validation_scores_))
    other.axvline(kept + 1, color="0.6", lw=1, ls=":")
    other.annotate(
        "weights kept",
        (kept + 1, np.mean(fitted.validation_scores_)),
        xytext=(-4, -60),
        textcoords="offset points",
        ha="right",
        color="0.35",
    )
    other.set_ylabel("score of held-out rows", color="#D55E00")
    other.spines["top"].set_visible(False)
figure.savefig("neural_training.png", dpi=100)

# %%
# What it finds
# -------------
# Eight digits, each described by its Fourier coefficients alone, and the six pictures
# nearest to them among the test digits. The right one is framed and ticked.

from skmeta.plotting import RetrievalDisplay

digits = np.flatnonzero(test)
best.set_gallery(views["pix"][test], ids=digits)
chosen = [digits[mfeat.target[digits] == digit][3] for digit in range(8)]
display = RetrievalDisplay.from_estimator(
    best,
    views["fou"][chosen],
    query_items=views["fou"][chosen],
    gallery_items=views["pix"][test].reshape(-1, 16, 15),
    n_hits=6,
    correct=chosen,
    cmap="gray_r",
)
display.ax_.set_title(
    f"Pictures nearest to Fourier coefficients, among {len(digits)} never seen",
    loc="left",
)
display.figure_.savefig("neural_retrieval.png", dpi=100)
print(
    "\nThe pictures are neural_planted.png, neural_training.png, neural_retrieval.png"
)
plt.show()
