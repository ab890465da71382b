"""What meta-training of a metric learner does: an embedding, chosen and calibrated."""

from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from skmeta.core.heads import HEADS, Given
from skmeta.few_shot._axes import (
    along_reliable_axes,
    along_unit_axes,
    axes_of,
    choose,
    moments_of,
)
from skmeta.few_shot._embedding import Embedding, learns_metric, metric_of
from skmeta.few_shot._held_out import (
    SHOTS,
    Calibration,
    Fold,
    accuracies,
    calibrate,
    class_folds,
    draw,
    held_pool,
    nearest,
)
from skmeta.few_shot._training import Trained, entry_shape

# With fewer classes "auto" takes rows as they are: there is little to learn from, and
# nothing to tell by whether it helped.
MIN_CLASSES_TO_CHOOSE = 10
# Images with a shorter side are not convolved.
MIN_SIDE = 4
# Episodes by which encoders are compared.
N_CHOICE = 300


class Learned(NamedTuple):
    """What meta-training has found."""

    encoder: str  # that was asked for, or chosen
    embedding: Embedding
    for_heads: dict
    head_weights: dict | None  # of the head that the encoder was trained towards
    axes: dict
    calibration: Calibration | None
    scores: dict  # of each encoder: accuracy on episodes of held-out classes


class Classes(NamedTuple):
    """Rows of training classes."""

    X: np.ndarray  # (n_rows, ...)
    codes: np.ndarray  # (n_rows,)
    tasks: np.ndarray | None  # (n_rows,)
    names: np.ndarray  # (n_classes,)

    @property
    def n_classes(self):
        """Number of classes."""
        return len(self.names)

    def some(self, rows):
        """Those of some rows (a mask), their classes numbered anew."""
        found, codes = np.unique(self.codes[rows], return_inverse=True)
        tasks = None if self.tasks is None else self.tasks[rows]
        return Classes(self.X[rows], codes, tasks, self.names[found])


def meta_train(learner, classes, rng, trainer):
    """Embed, choose and calibrate.

    Parameters
    ----------
    learner : MetricFewShotClassifier
        Its parameters say how.
    classes : Classes
    rng : numpy.random.Generator
    trainer : callable
        ``(name, classes, held) -> Trained``, ``held`` the mask of the rows that judge
        an encoder while it is trained.

    Returns
    -------
    Learned
    """
    candidates = _candidates(learner, classes)
    to_train = [name for name in candidates if _is_trained(learner, name)]
    share = learner.validation_fraction if to_train else None
    held_out = list(class_folds(classes.codes, classes.n_classes, rng, share=share))
    if to_train and held_pool(classes.codes, classes.tasks, ~held_out[0]) is None:
        held_out = [np.ones(len(classes.codes), bool)]  # none are left to train on
    found = {
        name: trainer(name, classes, held_out[0])
        if name in to_train
        else Trained(Embedding(unit=name == "unit"), {})
        for name in candidates
    }
    prepared = {
        name: _prepare_best(learner, name, classes, held_out, trained, rng)
        for name, trained in found.items()
    }
    scores = {}
    if len(candidates) > 1 and prepared[candidates[0]].folds:
        scores = _scores(learner, prepared, rng)
    encoder = max(scores, key=scores.get) if scores else candidates[0]
    best = prepared[encoder]
    calibration = None
    if best.folds:
        calibration = calibrate(
            learner.head,
            best.by_shots or {1: best.folds},
            learner.penalty,
            learner.n_way,
            learner.k_shot,
            rng,
        )
    for_heads = _for_heads(learner, best.embedding, classes, found[encoder])
    return Learned(
        encoder,
        best.embedding,
        for_heads,
        found[encoder].head_weights,
        best.axes,
        calibration,
        scores,
    )


class Prepared(NamedTuple):
    """An encoder with the axes that end it, and how it does on held-out classes."""

    embedding: Embedding
    axes: dict  # of "gaussian": `Axes` by shots
    folds: list  # of `Fold`
    score: float = 0.0
    by_shots: dict | None = None  # of "gaussian": folds along the axes of so many


def _prepare_best(learner, name, classes, held_out, trained, rng):
    """Axes of rows as they are, or of rows of length one."""
    first = _prepare(learner, name, classes, held_out, trained, rng)
    if name != "whitened" or _is_trained(learner, name):
        return first
    trained = trained._replace(embedding=Embedding(unit=True))
    second = _prepare(learner, name, classes, held_out, trained, rng)
    return max(first, second, key=lambda prepared: prepared.score)


def _prepare(learner, name, classes, held_out, trained, rng):
    """End an encoder by axes where it needs them."""
    folds, moments = [], []
    kind = _axes_kind(learner, name)
    for held in held_out:
        pool = held_pool(classes.codes, classes.tasks, held)
        if pool is None:
            continue
        own = classes if held.all() else classes.some(~held)
        for_heads = _for_heads(learner, trained.embedding, own, trained)
        given = given_of(learner, for_heads)
        Z = trained.embedding(classes.X[held])
        folds.append(Fold(Z, pool, given, trained.embedding.unit))
        if kind is not None:
            moments.append(moments_of(own, trained.embedding))
    if kind is None:
        return Prepared(trained.embedding, {}, folds)

    place = along_unit_axes if kind == "unit" else along_reliable_axes
    shots = [(k,) for k in SHOTS] if kind == "unit" else [(1, learner.k_shot)]
    chosen, score = choose(
        learner.head,
        folds,
        moments,
        place,
        shots,
        learner.n_way,
        learner.n_query,
        int(rng.integers(2**32)),
    )
    whole = moments_of(classes, trained.embedding)
    if kind == "unit":
        placed = {
            k: [place(*pair, shrinkage) for pair in zip(folds, moments, strict=True)]
            for k, shrinkage in zip(SHOTS, chosen, strict=True)
        }
        return Prepared(
            trained.embedding,
            {
                k: axes_of(whole, shrinkage, kind)
                for k, shrinkage in zip(SHOTS, chosen, strict=True)
            },
            nearest(placed, learner.k_shot),
            score,
            placed,
        )
    (shrinkage,) = chosen
    return Prepared(
        trained.embedding._replace(last=axes_of(whole, shrinkage, kind)),
        {},
        [place(*pair, shrinkage) for pair in zip(folds, moments, strict=True)],
        score,
    )


def _for_heads(learner, embedding, classes, trained):
    """What training classes teach the head: a part of `Given`."""
    if not HEADS[learner.head].uses_mean:
        return trained.for_heads
    mean = embedding(classes.X).mean(axis=0, dtype=np.float64)
    return {"mean": mean} | trained.for_heads


CLOSED = ("identity", "unit", "whitened")  # encoders that are not trained
# Wider rows are not whitened by "auto": eigenvectors take the cube of their width.
MAX_WHITENED = 2048


def _candidates(learner, classes):
    """Names of the encoders to compare; the one asked for, where it is not "auto"."""
    if learner.encoder != "auto":
        return [learner.encoder if isinstance(learner.encoder, str) else "module"]
    shape = entry_shape(learner, classes.X)
    trained = "mlp" if shape is None else "conv4"
    if HEADS[learner.head].needs_training:
        return [trained]
    few = classes.n_classes < MIN_CLASSES_TO_CHOOSE
    few |= np.bincount(classes.codes).max() < 2
    if few or learner.head == "simpleshot":
        return ["identity"]
    candidates = ["identity", "unit"]
    # A metric of their own has no gradient, or is of columns as they are.
    own = HEADS[learner.head].uses_metric and (
        callable(learner.metric) or "VI" in (learner.metric_params or {})
    )
    if own or learner.head == "gaussian":
        return candidates
    if classes.X[0].size <= MAX_WHITENED:
        candidates.append("whitened")
    images = shape is not None and len(shape) == 3 and min(shape[1:]) >= MIN_SIDE
    if find_spec("torch") and (shape is None or images):
        candidates.append(trained)
    return candidates


def _is_trained(learner, name):
    return name not in CLOSED or HEADS[learner.head].needs_training


def _axes_kind(learner, encoder):
    """What kind of axes of training classes an encoder or head asks for."""
    if learner.head == "gaussian":
        return "unit"
    learned = HEADS[learner.head].uses_metric and learns_metric(
        learner.metric, learner.metric_params
    )
    if learned or (encoder == "whitened" and not _is_trained(learner, encoder)):
        return "reliable"
    return None


def given_of(learner, for_heads, fine=None):
    """What the head of a learner is given beside the support."""
    penalty = {} if learner.penalty == "auto" else {"penalty": learner.penalty}
    metric = metric_of(learner.metric, learner.metric_params)
    return Given(metric, **(penalty | for_heads | (fine or {})))


def _scores(learner, prepared, rng):
    """Accuracies of encoders on the same episodes of classes that were held out."""
    seed = int(rng.integers(2**32))
    shots = sorted({1, learner.k_shot})
    scores = {}
    for name, (_, _, parts, *_) in prepared.items():
        n = -(-N_CHOICE // (len(parts) * len(shots)))
        found = [
            accuracies(
                HEADS[learner.head],
                fold,
                draw(fold, n, learner.n_way, k, learner.n_query, seed),
            ).mean()
            for fold in parts
            for k in shots
        ]
        scores[name] = float(np.mean(found))
    return scores
