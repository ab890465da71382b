"""How well few-shot learners tell apart characters of alphabets they have never seen.

``python tests/benchmarks/omniglot.py train MODEL [--method METHOD] [--updates N]
[--all]`` trains on drawings of the characters of 24 alphabets (``--all``: of all 30),
saves the model, and judges it on the other 6; ``... judge MODEL [FILE]`` judges a saved
model on the characters of any file of the same form: ``images`` (n, 28, 28), ``labels``
and ``alphabet``, and ``drawer`` where the runs are to be of two drawers. `METHODS` has
the methods; "pixels" and "simpleshot" need no training.

Everything is inductive. "20-way, alphabet" has the characters of an episode from one
alphabet; a "run" is as those that were published with the set: 20 characters of one
alphabet, one drawing of each by one drawer, and one of each by another to be told.

SKMETA_DATA names the folder of the sets.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

import skmeta
from skmeta import MAMLFewShotClassifier, MetricFewShotClassifier
from skmeta.metrics import EpisodicScorer

DATA = Path(
    os.environ.get("SKMETA_DATA", Path(__file__).parents[3] / "shared" / "data")
)
BACKGROUND = DATA / "omniglot" / "omniglot_background.npz"
N_HELD_OUT = 6  # alphabets
N_EPISODES = 1000
N_RUNS = 400
N_QUERY = {1: 5, 5: 5}

IMAGES = {
    "encoder": "resnet",
    "n_components": 256,
    "dropout": 0.0,
    "augment": "affine",
    "class_rotations": True,
    "batch_classes": 60,
    "batch_shots": 6,
    "share_within_task": 0.5,
    "validation_fraction": 0.05,
    "averaging": 0.995,
    "learning_rate_init": 3e-3,
    "weight_decay": 0.05,
    "n_way": 20,
    "k_shot": 1,
    "n_query": 5,
    "random_state": 0,
}
STEPS = {
    "encoder": "conv4",
    "n_way": 5,
    "k_shot": 1,
    "n_query": 5,
    "inner_lr": 0.01,
    "n_filters": 32,
    "random_state": 0,
}
BATCHES = {
    "prototype": MetricFewShotClassifier("prototype", "cosine", **IMAGES),
    "matching": MetricFewShotClassifier("matching", "cosine", **IMAGES),
    "ridge": MetricFewShotClassifier("ridge", **IMAGES),
}
STEPPING = {
    "maml": MAMLFewShotClassifier(algorithm="maml", **STEPS),
    "reptile": MAMLFewShotClassifier(algorithm="reptile", **STEPS),
}
CLOSED = {
    "pixels": MetricFewShotClassifier(encoder="identity"),
    "simpleshot": MetricFewShotClassifier("simpleshot", encoder="identity"),
}
METHODS = BATCHES | STEPPING | CLOSED


def read(path):
    """Images (n, 28, 28) from 0 to 1, labels, alphabets, and drawers or None."""
    with np.load(path, allow_pickle=False) as stored:
        images = (stored["images"] > 127).astype(np.float32)
        drawer = stored["drawer"] if "drawer" in stored.files else None
        return images, stored["labels"], stored["alphabet"], drawer


def held_out(alphabet):
    """Mask of the drawings of the alphabets that are kept for judging."""
    names = np.unique(alphabet)
    kept = np.random.RandomState(0).permutation(names)[:N_HELD_OUT]
    return np.isin(alphabet, kept)


def judge(learner, images, labels, alphabet, drawer):
    """Print accuracies with their 95 % intervals."""
    large = [a for a in np.unique(alphabet) if len({*labels[alphabet == a]}) >= 20]
    inside = np.isin(alphabet, large)
    for name, n_way, k_shot, rows, task in (
        ("5-way 1-shot", 5, 1, slice(None), None),
        ("5-way 5-shot", 5, 5, slice(None), None),
        ("20-way 1-shot", 20, 1, slice(None), None),
        ("20-way 5-shot", 20, 5, slice(None), None),
        ("20-way 1-shot, alphabet", 20, 1, inside, alphabet[inside]),
    ):
        scorer = EpisodicScorer(
            n_way=n_way, k_shot=k_shot, n_query=N_QUERY[k_shot], n_episodes=N_EPISODES
        )
        found = scorer.evaluate(learner, images[rows], labels[rows], task=task)
        print(f"{name:<26}{found.mean:.4f} +- {found.half_width:.4f}", flush=True)
    wrong = 1 - np.array(list(runs(learner, images, labels, alphabet, drawer, large)))
    half = 1.96 * wrong.std(ddof=1) / np.sqrt(len(wrong))
    print(f"{'error of runs':<26}{wrong.mean():.4f} +- {half:.4f}", flush=True)


def runs(learner, images, labels, alphabet, drawer, alphabets):
    """Yield the accuracy of each run."""
    rng = np.random.default_rng(0)
    for _ in range(N_RUNS):
        rows = np.flatnonzero(alphabet == rng.choice(alphabets))
        characters = rng.choice(np.unique(labels[rows]), 20, replace=False)
        rows = rows[np.isin(labels[rows], characters)]
        if drawer is None:
            known, asked = pick_any(labels[rows], rng)
        else:
            known, asked = (
                np.flatnonzero(drawer[rows] == d)
                for d in rng.choice(np.unique(drawer[rows]), 2, replace=False)
            )
        known, asked = rows[known], rows[asked]
        adapted = learner.adapt(images[known], labels[known])
        yield adapted.score(images[asked], labels[asked])


def pick_any(labels, rng):
    """Two rows of each label."""
    pairs = [rng.choice(np.flatnonzero(labels == c), 2, False) for c in {*labels}]
    return np.transpose(pairs)


def train(method, n_updates, rows, everything):
    """A fitted learner, after so many batches or meta-updates."""
    images, labels, alphabet, _ = (a if a is None else a[rows] for a in everything)
    learner = METHODS[method]
    start = time.perf_counter()
    if method in BATCHES:
        batch = IMAGES["batch_classes"] * IMAGES["batch_shots"]
        n_batches = len(images) * (1 - IMAGES["validation_fraction"]) / batch
        n_passes = max(1, round(n_updates / n_batches))
        learner.set_params(max_iter=n_passes, n_iter_no_change=n_passes)
        learner.fit(images, labels, task=alphabet)
    elif method in STEPPING:
        learner.set_params(max_iter=n_updates, n_iter_no_change=n_updates)
        learner.fit(images, labels)
    else:
        learner.fit(images, labels)
    print(f"{method}: trained in {(time.perf_counter() - start) / 60:.1f} minutes")
    return learner


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["train", "judge"])
    parser.add_argument("model", help="where the model is saved")
    parser.add_argument("file", nargs="?", default=BACKGROUND)
    parser.add_argument("--method", choices=list(METHODS), default="prototype")
    parser.add_argument("--updates", type=int, default=3500, help="batches trained on")
    parser.add_argument("--all", action="store_true", help="train on all alphabets")
    given = parser.parse_args()
    everything = read(given.file)
    kept = held_out(everything[2])
    if given.command == "train":
        rows = np.ones(len(kept), bool) if given.all else ~kept
        learner = train(given.method, given.updates, rows, everything)
        skmeta.save(learner, given.model)
        if given.all:
            return
        everything = [a if a is None else a[kept] for a in everything]
    judge(skmeta.load(given.model), *everything)


if __name__ == "__main__":
    main()
