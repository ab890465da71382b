"""How well few-shot learners adapt, on waves and on sections of packages.

`quality.py` prints the tables.
"""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from skmeta import MAMLFewShotRegressor, MetricFewShotClassifier
from skmeta.datasets import make_sinusoid_tasks
from skmeta.metrics import EpisodicScorer

DATA = Path(
    os.environ.get("SKMETA_DATA", Path(__file__).parents[3] / "shared" / "data")
)

# ---- sinusoid: the protocol of the MAML paper ----------------------------------------

WAVES = {
    # The waves and their inputs have sizes that a rate of 0.01 suits as they are.
    "MAML": MAMLFewShotRegressor(
        k_shot=10,
        min_shot=3,
        standardize=False,
        outer_lr=0.007,
        meta_batch_size=25,
        max_iter=20_000,
        early_stopping=False,
        random_state=0,
    ),
    "Ridge": MAMLFewShotRegressor(
        algorithm="ridge", max_iter=5000, early_stopping=False, random_state=0
    ),
}
N_STEPS = {"MAML": (1, 5, 10), "Ridge": (None,)}


def sinusoid(n_repeats=4, n_tasks=1000, learners=WAVES):
    """Squared error of 50 further points of a wave, after 5 and 10 of its points.

    Learned once; a repeat is a thousand new waves. The paper (Finn et al. 2017) has
    .67, .38 and .35 of five points after 1, 5 and 10 steps.
    """
    seen = make_sinusoid_tasks(20_000, 20, random_state=0)
    for name, learner in learners.items():
        start = time.perf_counter()
        learner.fit(seen.X, seen.y, task=seen.task)
        print(f"{name}: learned in {time.perf_counter() - start:.0f} s")
    for repeat in range(n_repeats):
        new = make_sinusoid_tasks(n_tasks, 60, random_state=1 + repeat)
        X, y = new.X.reshape(n_tasks, 60, 1), new.y.reshape(n_tasks, 60)
        waves = list(zip(X, y, strict=True))
        figures = {}
        for name, learner in learners.items():
            for steps in N_STEPS[name]:
                title = name if steps is None else f"{name}, steps: {steps}"
                figures[title] = {
                    ("squared error", f"{k} points"): np.mean(
                        [wave_error(learner, *wave, k, steps) for wave in waves]
                    )
                    for k in (5, 10)
                }
        yield figures


def wave_error(learner, X, y, k, steps):
    """Mean squared error of the points of a wave that it is not adapted to."""
    adapted = learner.adapt(X[:k], y[:k], n_steps=steps)
    return np.mean((adapted.predict(X[10:]) - y[10:]) ** 2)


# ---- sections of packages, told from their descriptions ------------------------------

BASE = "Nearest centroid"  # that others are compared with
N_SECTIONS = 14  # that are judged on; the others are learned from
BASELINES = {
    "Nearest centroid": NearestCentroid(),
    "1-NN": KNeighborsClassifier(1),
    "Logistic regression": LogisticRegression(max_iter=300),
}
SECTIONS = {
    "Prototype": MetricFewShotClassifier("prototype", random_state=0),
    "Ridge": MetricFewShotClassifier("ridge", random_state=0),
    "Gaussian": MetricFewShotClassifier("gaussian", random_state=0),
    "Gaussian, transductive": MetricFewShotClassifier(
        "gaussian", transductive=True, random_state=0
    ),
}


def sections(n_repeats=5, n_episodes=600):
    """Accuracy of five new sections after 1, 5 and 20 packages of each.

    A repeat is a split of the sections. Its features, 256 columns, are of the sections
    that are learned from, each row of length one; one package a source.
    """
    frame = pd.read_parquet(DATA / "debian_packages" / "debian_packages.parquet")
    frame = frame.drop_duplicates("source")
    text = (frame["summary"] + " " + frame["description"]).to_numpy(str)
    section = frame["section"].to_numpy(str)
    names = np.unique(section)
    for seed in range(n_repeats):
        kept = np.random.default_rng(seed).permutation(names)[:N_SECTIONS]
        new = np.isin(section, kept)
        features = make_pipeline(
            TfidfVectorizer(
                sublinear_tf=True, min_df=3, stop_words="english", max_features=40_000
            ),
            TruncatedSVD(256, random_state=0),
            Normalizer(),
        )
        X = features.fit_transform(text[~new]).astype(np.float32)
        X_new = features.transform(text[new]).astype(np.float32)
        figures = {}
        for name, learner in (BASELINES | SECTIONS).items():
            if name in SECTIONS:
                learner.fit(X, section[~new])
            figures[name] = {}
            for k in (1, 5, 20):
                scorer = EpisodicScorer(k_shot=k, n_episodes=n_episodes)
                with np.errstate(invalid="ignore"):  # the deviation of a single row
                    found = scorer.evaluate(learner, X_new, section[new])
                figures[name]["accuracy", f"{k} shots"] = found.mean
        for name in SECTIONS:
            figures[f"Lead over {BASE}: {name}"] = {
                title: figures[name][title] - value
                for title, value in figures[BASE].items()
            }
        yield figures
