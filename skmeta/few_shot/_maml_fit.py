"""What a fit of model-agnostic meta-learning does: tasks in, a start for others out."""

from itertools import product
from typing import NamedTuple

import numpy as np

from skmeta._torch import torch_backend
from skmeta.core.calibration import Table, best_temperature
from skmeta.core.episodes import draw_episodes, eligible_tasks, pool_of
from skmeta.core.network import standardisation
from skmeta.exceptions import check_widths
from skmeta.few_shot._held_out import (
    N_CALIBRATION,
    N_CALIBRATION_QUERIES,
    calibration_grid,
    class_folds,
)
from skmeta.few_shot._training import entry_shape

# An epoch, after which training is judged, is about so many meta-updates.
UPDATES = 100
# Tasks by which it is judged.
N_JUDGED = 200
# Fewer tasks of a regression are all trained on.
MIN_TASKS_TO_HOLD_OUT = 20


class Recipe(NamedTuple):
    """What a learner is made of."""

    encoder: object  # a name, a module or a factory
    n_in: int  # numbers of an entry
    shape: tuple | None  # of an entry, where it is no row of numbers
    hidden: tuple
    activation: str
    n_components: int  # of encoders of images
    n_filters: int | None
    algorithm: str
    head: str  # of classes
    n_outputs: int | None  # of a regression
    inner_lr: float
    n_inner_steps: int

    def shares_weights(self, other):
        """Whether weights of the other are weights of this one."""
        steps = self.n_inner_steps  # of learned rates there are as many
        if self.algorithm != "meta_sgd":
            steps = other.n_inner_steps
        return other == self._replace(inner_lr=other.inner_lr, n_inner_steps=steps)


class Learned(NamedTuple):
    """What meta-training has found, as numpy."""

    recipe: Recipe
    arrays: dict
    means: np.ndarray  # (n_features,) of X
    scales: np.ndarray
    temperatures: Table | None  # of classes


class MetaFit:
    """A meta-training of one of the MAML estimators.

    Parameters
    ----------
    estimator : MAMLFewShotClassifier or MAMLFewShotRegressor
    X : ndarray (n_rows, ...)
    codes : ndarray of int (n_rows,) or None
        Of classes.
    y : ndarray (n_rows, n_outputs) or None
        Standardised numbers.
    tasks : ndarray of int (n_rows,) or None
    seed : int
    previous : Learned or None
        To go on from.
    """

    def __init__(self, estimator, X, codes, y, tasks, seed, previous=None):
        self.estimator, self.codes, self.y, self.tasks = estimator, codes, y, tasks
        self.previous = previous
        torch_backend(type(estimator).__name__)
        from skmeta.nn import backend, maml_backend

        self.nn, self.maml = backend, maml_backend
        self.rng = np.random.default_rng(seed)
        self.seed = int(self.rng.integers(2**31))
        self.shape = None if estimator.encoder == "mlp" else entry_shape(estimator, X)
        if isinstance(estimator.encoder, str):
            backend.check_encoder(estimator.encoder, "encoder", self.shape)
        self.device = backend.resolve_device(estimator.device)
        flat = X.reshape(len(X), -1)
        held = self._held_out()
        self.train_rows, self.held_rows = np.flatnonzero(~held), np.flatnonzero(held)
        if previous is None:
            self.inputs = standardisation(
                flat, np.arange(len(flat)), estimator.standardize, self.shape
            )
        else:
            self.inputs = previous.means, previous.scales
        self.X = maml_backend.as_tensor(flat, self.inputs, self.shape, self.device)
        self.recipe = self._recipe(flat.shape[1])

    def _recipe(self, n_in):
        e = self.estimator
        return Recipe(
            encoder=e.encoder,
            n_in=n_in,
            shape=self.shape,
            hidden=check_widths(e.hidden_layer_sizes),
            activation=e.activation,
            n_components=e.n_components,
            n_filters=e.n_filters,
            algorithm=e.algorithm,
            head=getattr(e, "head", "linear"),
            n_outputs=None if self.y is None else self.y.shape[1],
            inner_lr=float(e.inner_lr),
            n_inner_steps=e.n_inner_steps,
        )

    def _held_out(self):
        """Mask (n_rows,) of rows of classes, or tasks, that training does not see."""
        e = self.estimator
        units = self.codes if self.tasks is None or self.y is None else self.tasks
        n = len(self.codes) if self.y is None else len(self.y)
        none = np.zeros(n, bool)
        if not e.early_stopping or units is None:
            return none
        n_units = int(units.max()) + 1
        if self.y is not None and n_units < MIN_TASKS_TO_HOLD_OUT:
            return none
        held = next(class_folds(units, n_units, self.rng, share=e.validation_fraction))
        left = self._pool(np.flatnonzero(~held))
        if held.all() or len(eligible_tasks(left, self._n_way)) == 0:
            return none  # nothing would be left to train on
        return held

    def _pool(self, rows):
        kinds = np.zeros(len(rows), np.intp) if self.codes is None else self.codes[rows]
        pool = pool_of(kinds, None if self.tasks is None else self.tasks[rows])
        return pool._replace(rows=rows[pool.rows])

    def train(self, **hooks):
        """Meta-train; returns `Learned` and the history."""
        e, nn, maml = self.estimator, self.nn, self.maml
        generator = nn.torch_generator(self.seed)
        y = None
        if self.y is not None:
            y = maml.as_tensor(self.y, None, None, self.device)
        with nn.torch_randomness(self.seed, self.device, {"X": e.encoder}):
            learner = maml.make_learner(self.recipe, generator).to(self.device)
            if self.previous is not None:
                maml.take(learner, self.previous.arrays)
            pool = self._pool(self.train_rows)
            min_shot = getattr(e, "min_shot", None)
            if min_shot is None and e.algorithm == "ridge":
                min_shot = 1
            data = maml.EpisodeData(
                self.X, y, pool, self._n_way, e.k_shot, e.n_query, min_shot
            )
            n_epochs, n_updates = epochs_of(e.max_iter)
            history = maml.meta_train(
                learner,
                data,
                self._plan(n_epochs),
                self.rng,
                n_updates=n_updates,
                task_chunk_size=e.task_chunk_size,
                score=self._score(y),
                checkpoint=self._checkpoint(),
                generators=[
                    generator,
                    *nn.global_generators({"X": e.encoder}, self.device),
                ],
                **hooks,
            )
        temperatures = None if self.codes is None else self._temperatures(learner)
        return Learned(
            self.recipe, maml.state(learner), *self.inputs, temperatures
        ), history

    @property
    def _n_way(self):
        return 1 if self.codes is None else self.estimator.n_way

    @property
    def _n_at_once(self):
        return self.estimator.task_chunk_size or self.estimator.meta_batch_size

    def _plan(self, n_epochs):
        e = self.estimator
        # The loss of other tasks each time rises and falls by chance: without held-out
        # ones there is nothing to stop by.
        patience = e.n_iter_no_change if len(self.held_rows) else n_epochs
        return self.nn.Plan(
            batch_size=e.meta_batch_size,
            max_iter=n_epochs,
            learning_rate=e.outer_lr,
            weight_decay=e.weight_decay,
            warmup=0.0,
            schedule="cosine",
            max_norm=e.max_grad_norm,
            n_iter_no_change=patience,
            tol=e.tol,
        )

    def _score(self, y):
        if len(self.held_rows) == 0:
            return None
        pool, e = self._pool(self.held_rows), self.estimator
        if len(eligible_tasks(pool, self._n_way)) == 0:
            return None
        episodes = draw_episodes(
            pool,
            N_JUDGED,
            self._n_way,
            e.k_shot,
            e.n_query,
            np.random.default_rng(self.seed),
        )
        parts = _in_parts(episodes, self._n_at_once)
        return self.maml.episode_score(self.X, y, parts, e.n_inner_steps)

    def _temperatures(self, learner):
        """Temperatures by shots and ways, on episodes of held-out classes."""
        e = self.estimator
        rows = self.held_rows if len(self.held_rows) else self.train_rows
        pool = self._pool(rows)
        if len(pool.counts) == 0 or len(eligible_tasks(pool, 2)) == 0:
            return None
        shots, ways = calibration_grid([pool], e.n_way, e.k_shot)
        values = np.ones((len(shots), len(ways)))
        for (i, k), (j, n) in product(enumerate(shots), enumerate(ways)):
            episodes = draw_episodes(
                pool, N_CALIBRATION, n, k, N_CALIBRATION_QUERIES, self.rng
            )
            parts = _in_parts(episodes, self._n_at_once)
            answers = self.maml.episode_logits(learner, self.X, parts, e.n_inner_steps)
            if answers:
                values[i, j], _ = best_temperature(*zip(*answers, strict=True))
        return Table(np.array(shots), np.array(ways), values)

    def _checkpoint(self):
        arrays = [self.X.cpu().numpy().reshape(len(self.X), -1)]
        arrays += [a for a in (self.codes, self.y, self.tasks) if a is not None]
        return self.nn.checkpoint_of(self.estimator, arrays)


def epochs_of(max_iter):
    """Numbers of epochs, and of meta-updates in each: of ``max_iter`` at most."""
    n_epochs = -(-max_iter // UPDATES)
    return n_epochs, max_iter // n_epochs


def _in_parts(episodes, n):
    return [
        type(episodes)(*(part[start : start + n] for part in episodes))
        for start in range(0, len(episodes.classes), n)
    ]
