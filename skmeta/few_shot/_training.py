"""Training of a metric learner's encoder: from checked rows to an `Embedding`."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from skmeta._torch import torch_backend
from skmeta.core.distances import get_metric
from skmeta.core.episodes import draw_episodes, eligible_tasks, pool_of
from skmeta.core.heads import HEADS, Given
from skmeta.core.network import arrays_of, same_shapes, standardisation
from skmeta.core.projection import project
from skmeta.exceptions import check_widths
from skmeta.few_shot._axes import (
    START,
    along_reliable_axes,
    axes_of,
    choose,
    moments_of,
)
from skmeta.few_shot._embedding import Embedding, learns_metric
from skmeta.few_shot._held_out import Fold, held_pool
from skmeta.model_selection._splitters import checked_pool

# Columns of the embedding of images and of modules, where nothing else is said.
N_COMPONENTS = 64
# An epoch is a pass over the rows, and at least so many batches.
MIN_BATCHES = 10
# Episodes by which training is judged after each epoch.
N_JUDGED = 300


class Trained(NamedTuple):
    """A trained encoder, and how its training went."""

    embedding: Embedding
    for_heads: dict  # what was learned along with it
    head_weights: dict | None = None  # of torch's names; None where none was trained
    history: object = None


class Previous(NamedTuple):
    """What an earlier fit has trained, to go on from."""

    encoder: str
    embedding: Embedding
    head_weights: dict


def entry_shape(learner, X):
    """Shape of an entry, as encoders of images have it; None for rows of numbers."""
    if learner.input_shape is not None:
        shape = tuple(learner.input_shape)
    else:
        shape = X.shape[1:]
    if len(shape) == 2:  # images of one channel
        return (1, *shape)
    return None if len(shape) == 1 else shape


class EncoderFit:
    """A training of the encoder of a `MetricFewShotClassifier`."""

    def __init__(self, learner, name, classes, held, seed, previous=None):
        self.learner, self.name = learner, name
        self.previous = self._goes_on_from(previous)
        self.encoder = learner.encoder if name == "module" else name
        self.nn = nn = torch_backend(
            f"encoder={self.name!r}", ', or choose encoder="identity" or "whitened"'
        )
        self.device = nn.resolve_device(learner.device)
        self.rng = check_random_state(seed)
        self.seed = int(self.rng.randint(np.iinfo(np.int32).max))
        everything = held.all()
        self.train_rows = np.flatnonzero(held if everything else ~held)
        self.held_rows = np.flatnonzero(~held if everything else held)
        self.classes = classes
        checked_pool(classes.names, classes.codes, classes.tasks, 2)
        self.shape = entry_shape(learner, classes.X)
        if self.name != "whitened":
            nn.check_encoder(self.encoder, "encoder", self.shape)
        if learner.class_rotations and (
            self.shape is None or len(self.shape) != 3 or len({*self.shape[1:]}) > 1
        ):
            found = "rows of numbers" if self.shape is None else f"shape {self.shape}"
            raise ValueError(
                "class_rotations=True turns square images, entries of shape (channels, "
                f"side, side); X has {found}."
            )
        self.first = self._first()
        self.array = self._inputs()
        self.inputs = self._standardisation()

    def _goes_on_from(self, previous):
        """What this encoder goes on from, or None; "auto" trains others anew."""
        if previous is None or previous.encoder == self.name:
            return previous
        if self.learner.encoder == "auto":
            return None
        raise ValueError(
            f"warm_start=True goes on from an encoder {previous.encoder!r}; leave it "
            "as it was, or set warm_start to False."
        )

    def _first(self):
        """Axes of rows of numbers: an encoder of raw columns seldom beats them."""
        if self.shape is not None or self.name not in ("mlp", "whitened"):
            return None
        if self.previous is not None:
            return self.previous.embedding.first
        classes, learner = self.classes, self.learner
        inside = np.zeros(len(classes.X), bool)
        inside[self.train_rows] = True
        moments = moments_of(classes.some(inside), Embedding())
        shrinkage, pool = START, None
        if len(self.held_rows):
            pool = held_pool(classes.codes, classes.tasks, ~inside)
        if pool is not None:
            Z = classes.X[self.held_rows].reshape(len(self.held_rows), -1)
            fold = Fold(Z, pool, Given(get_metric("euclidean")))
            (shrinkage,), _ = choose(
                "prototype",
                [fold],
                [moments],
                along_reliable_axes,
                [(1, learner.k_shot)],
                learner.n_way,
                learner.n_query,
                self.seed,
            )
        return axes_of(moments, shrinkage, "reliable")

    def _inputs(self):
        X = self.classes.X.reshape(len(self.classes.X), -1)
        return (
            X if self.first is None else project(X, self.first.mean, self.first.weights)
        )

    def _standardisation(self):
        """Means and scales (n_features,) of the array's columns."""
        if self.previous is not None and self.name != "whitened":
            network, p = self.previous.embedding.network, self.array.shape[1]
            return [np.repeat(a, p // len(a)) for a in (network.means, network.scales)]
        return standardisation(
            self.array, self.train_rows, self.first is None, self.shape
        )

    def train(self, **hooks):
        """Train, and return a `Trained`."""
        nn = self.nn
        encoders = {"X": self.encoder}
        with nn.torch_randomness(self.seed, self.device, encoders):
            generator = nn.torch_generator(self.seed)
            space = nn.place(self._space(generator), self.device, self.seed)
            table = nn.Table(
                self.array,
                np.ones(len(self.array), bool),
                *self.inputs,
                self.device,
                self.shape,
            )
            data = self._batches(table)
            plan = self._plan(data)
            history = nn.train(
                space,
                nn.metric_objective,
                data,
                np.arange(plan.batch_size * self._n_batches(data)),
                plan,
                self.rng,
                score=self._score(table),
                remedies=nn.Remedies(
                    "lower learning_rate_init",
                    "lower batch_classes or batch_shots",
                    empty="No batch has two rows of a class; give more rows of each.",
                ),
                checkpoint=self._checkpoint(),
                generators=[generator, *nn.global_generators(encoders, self.device)],
                **hooks,
            )
        network = None
        if self.name != "whitened":
            network = nn.read_encoder(space.best_encoder, *self.inputs, self.shape)
        return Trained(
            Embedding(self.first, network),
            nn.read_relation(space.head),
            nn.read_weights(space.head),
            history,
        )

    def _space(self, generator):
        nn, learner = self.nn, self.learner
        n_components = learner.n_components
        skips = self.first is not None and n_components is None
        if n_components is None or self.name == "whitened":
            n_components = self.array.shape[1] if skips else N_COMPONENTS
        encoder = (
            nn.nothing()
            if self.name == "whitened"
            else nn.make_encoder(
                self.encoder,
                None,
                self.array.shape[1],
                self.shape,
                n_components,
                check_widths(learner.hidden_layer_sizes),
                generator=generator,
                activation=learner.activation,
                dropout=learner.dropout,
                layer_norm=False,
                skip=skips,
                filters=learner.n_filters,
            )
        )
        metric = learner.metric
        if not HEADS[learner.head].uses_metric or learns_metric(metric, None):
            metric = "euclidean"
        head = nn.MetricHead(
            TRAINED_AS.get(learner.head, learner.head),
            metric,
            n_components,
            generator=generator,
        )
        if self.previous is not None:
            self._take(encoder, head)
        return nn.MetricSpace(
            encoder,
            head,
            augment=learner.augment,
            averaging=learner.averaging,
            generator=generator,
        )

    def _take(self, encoder, head):
        """Give an encoder and a head the weights of an earlier fit."""
        nn, before = self.nn, self.previous
        if self.name != "whitened":
            network = before.embedding.network
            fresh = nn.read_encoder(encoder, *self.inputs, self.shape)
            kinds = [getattr(each, "activation", None) for each in (fresh, network)]
            if kinds[0] != kinds[1] or not same_shapes(fresh, network):
                raise ValueError(
                    "warm_start=True goes on from weights of another shape, or of "
                    "another activation; set it to False, or leave the encoder and "
                    "n_components as they were."
                )
            encoder.take(network)
        if same_shapes(nn.read_weights(head), before.head_weights):
            nn.take_weights(head, before.head_weights)

    def _batches(self, table):
        learner = self.learner
        pool, within = self._pools(self.train_rows)
        episodic = learner.sampling == "episodes"
        return self.nn.ClassBatches(
            table,
            within if episodic and within is not None else pool,
            n_classes=learner.n_way if episodic else learner.batch_classes,
            n_per_class=learner.k_shot + learner.n_query
            if episodic
            else learner.batch_shots,
            k_shot=learner.k_shot if episodic else 1,
            n_splits=1 if episodic else None,
            within=None if episodic else within,
            share_within=learner.share_within_task,
            turns=learner.class_rotations,
        )

    def _pools(self, rows):
        """Pools of rows: of all tasks together, and by task."""
        codes, tasks = self.classes.codes, self.classes.tasks

        def pool(tasks):
            found = pool_of(codes[rows], tasks)
            return found._replace(rows=rows[found.rows])

        return pool(None), None if tasks is None else pool(tasks[rows])

    def _n_batches(self, data):
        shape = data.n_classes, data.n_per_class
        return max(MIN_BATCHES, round(len(self.train_rows) / (shape[0] * shape[1])))

    def _plan(self, data):
        learner = self.learner
        return self.nn.Plan(
            batch_size=data.n_classes * data.n_per_class,
            max_iter=learner.max_iter,
            learning_rate=learner.learning_rate_init,
            weight_decay=learner.weight_decay,
            warmup=0.0,
            schedule="cosine",
            max_norm=None,
            n_iter_no_change=learner.n_iter_no_change,
            tol=learner.tol,
            precision=learner.precision,
            compile=learner.compile,
        )

    def _score(self, table):
        """``space -> accuracy`` of episodes of held-out classes, or None."""
        if len(self.held_rows) == 0:
            return None
        pool, within = self._pools(self.held_rows)
        pool = pool if within is None else within
        learner = self.learner
        if len(eligible_tasks(pool, learner.n_way)) == 0:
            return None
        episodes = draw_episodes(
            pool,
            N_JUDGED,
            learner.n_way,
            learner.k_shot,
            learner.n_query,
            np.random.default_rng(self.seed),
        )
        return self.nn.episode_score(table, episodes)

    def _checkpoint(self):
        arrays = [self.array, self.classes.codes]
        if self.classes.tasks is not None:
            arrays.append(self.classes.tasks)
        if self.previous is not None:
            arrays += arrays_of(self.previous)
        return self.nn.checkpoint_of(self.learner, arrays, ("transductive",))


# Heads without parameters of their own train as this one does.
TRAINED_AS = {"simpleshot": "prototype", "gaussian": "prototype"}
