"""Six views of handwritten digits: fused coordinates beside views alone and together.

``pytest tests/benchmarks/test_mfeat_views.py`` prints the accuracy of a logistic
regression with few and with all labels, its C tuned on the training rows, on the stored
test rows. The mapper sees all training rows, without their labels.
"""

import warnings

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import CCAMapper
from skmeta.datasets import load_mfeat

N_LABELS = (50, 200, None)
N_DRAWS = 5


def accuracy(train, y_train, test, y_test, scale):
    search = GridSearchCV(
        make_pipeline(
            StandardScaler() if scale else "passthrough",
            LogisticRegression(max_iter=300),
        ),
        {"logisticregression__C": [0.001, 0.01, 0.1, 1, 10]},
        cv=3,
    )
    return search.fit(train, y_train).score(test, y_test)


def test_fused_coordinates_beside_the_views(capsys):
    digits = load_mfeat()
    known, unknown = digits.split != "test", digits.split == "test"
    train, test = digits.views[known], digits.views[unknown]
    y, y_test = digits.target[known], digits.target[unknown]
    inputs = {name: (train[name], test[name]) for name in train}
    inputs["all, side by side"] = tuple(
        np.hstack(list(views.values())) for views in (train, test)
    )
    # Coordinates come at the size that fits their correlation, and stay there.
    wide = [name for name in train if train[name].shape[1] >= 47]
    for names, k in ((list(train), 6), (wide, 40)):
        for fusion in ("posterior", "concat"):
            mapper = CCAMapper(k, fusion=fusion).fit(train[names])
            name = f"mapped, {fusion}: {k} components of {len(names)} views"
            inputs[name] = [mapper.transform(v[names]) for v in (train, test)]
    rows = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name, (Z, Z_test) in inputs.items():
            for n in N_LABELS:
                found = []
                for draw in range(N_DRAWS if n else 1):
                    rng = np.random.default_rng(draw)
                    some = np.concatenate(
                        [
                            rng.permutation(np.flatnonzero(y == c))[: n // 10]
                            for c in np.unique(y)
                        ]
                        if n
                        else [np.arange(len(y))]
                    )
                    scale = not name.startswith("mapped")
                    found.append(accuracy(Z[some], y[some], Z_test, y_test, scale))
                rows.setdefault(name, {})[n or len(y)] = np.mean(found)
    table = pd.DataFrame(rows).T
    with capsys.disabled():
        print("\nmfeat: accuracy by number of labels\n" + table.round(3).to_string())
    assert table.notna().all(axis=None)
