"""From checked views to trained encoders: what a fit of a neural mapper does."""

import copy

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import get_scorer
from sklearn.utils import check_random_state

from skmeta._compat import safe_indexing
from skmeta._torch import torch_backend
from skmeta.core.blocks import release
from skmeta.core.device import OnDevice
from skmeta.core.network import standardisation
from skmeta.exceptions import check_widths, warn
from skmeta.mapping import _neural_checks as checks
from skmeta.mapping._by_view import by_view
from skmeta.views._door import open_door

# With fewer rows than this there are none to spare for validation.
MIN_ROWS_TO_SPLIT = 20


def on_host(blocks):
    """Blocks of numpy arrays."""
    return blocks._replace(
        arrays={
            name: array.host() if isinstance(array, OnDevice) else array
            for name, array in blocks.arrays.items()
        }
    )


def rows_of(blocks, rows):
    """Some of the rows."""
    some = blocks._replace(
        arrays={name: array[rows] for name, array in blocks.arrays.items()},
        present={name: mask[rows] for name, mask in blocks.present.items()},
        n_rows=len(rows),
    )
    for array in blocks.arrays.values():
        release(array, 0, array.shape[0])  # what was read of a file
    return some


def inputs_of(blocks, standardize, shapes):
    """Means and scales of each view's columns; ``standardize`` says by view whether."""
    return [
        standardisation(
            blocks.arrays[name],
            np.flatnonzero(blocks.mask(name)),
            wanted,
            shapes.get(name),
        )
        for name, wanted in standardize.items()
    ]


def split(ids, masks, fraction, rng, *, whole=False):
    """Rows to train on, and held-out ones that have at least two views.

    Rows that are identical in a view stay together; with ``whole`` those that are so
    in all views.
    """
    n = len(masks[0])
    if not fraction:
        return np.arange(n), np.arange(0)
    groups = _same_rows(ids, masks) if whole else _joined(ids, masks)
    order = rng.permutation(groups.max() + 1)
    left = max(2, round(fraction * n))
    chosen = []
    for group, size in zip(order, np.bincount(groups)[order], strict=True):
        if size <= left:  # a large group is passed over, it does not end the search
            chosen.append(group)
            left -= size
        if not left:
            break
    held = np.isin(groups, chosen)
    if held.sum() < 2 or (~held).sum() < 2:
        return np.arange(n), np.arange(0)
    paired = np.sum(masks, axis=0) > 1
    return np.flatnonzero(~held), np.flatnonzero(held & paired)


def _same_rows(ids, masks):
    """Groups (n_rows,) of rows that are identical in all views."""
    if any(same is None for same in ids):
        return np.arange(len(masks[0]))
    rows = [np.where(mask, same, -1) for same, mask in zip(ids, masks, strict=True)]
    groups = np.unique(np.column_stack(rows), axis=0, return_inverse=True)[1]
    return groups.ravel()


def _joined(ids, masks):
    """Groups (n_rows,) of rows that are linked by being identical in a view."""
    n = len(masks[0])
    links = [
        (np.flatnonzero(mask), same[mask])
        for same, mask in zip(ids, masks, strict=True)
        if same is not None
    ]
    if not links:
        return np.arange(n)
    ends = [np.concatenate(side) for side in zip(*links, strict=True)]
    graph = coo_array((np.ones(len(ends[0])), tuple(ends)), shape=(n, n))
    return connected_components(graph, directed=False)[1]


class Job:
    """A fit of a neural mapper: checked rows, and what they are trained with.

    ``previous`` are the networks, learned scalars and head that it goes on from, or
    None; with ``piece`` the rows are one piece of more to come.
    """

    def __init__(self, mapper, X, y, previous, *, piece=False, classes=None):
        self.mapper, self.X, self.y, self.piece = mapper, X, y, piece
        self.nn = nn = torch_backend("NeuralSharedSpaceMapper")
        self.hidden = check_widths(mapper.hidden_layer_sizes)
        self.terms = checks.terms_of(nn, mapper.loss, mapper.alignment)
        self.device = nn.resolve_device(mapper.device)
        self.previous, self.going_on = previous, piece and previous is not None
        kind = checks.target_kind(mapper, self.terms, X)
        self.reader, self.blocks = self._read()
        self.shapes = self.reader.shapes or {}
        names = self.reader.names
        checks.check_by_view(mapper, nn, names, self.shapes)
        self.target = checks.read_target(
            mapper,
            kind,
            y,
            getattr(mapper, "classes_", None) if self.going_on else classes,
            getattr(mapper, "_target_scaling", None) if self.going_on else None,
        )
        if self.terms[0].loss.kind == "target":
            checks.check_outputs(mapper, self.target, len(names))
        self.rng = check_random_state(
            mapper._rng if self.going_on and mapper._rng else mapper.random_state
        )
        self.arrays = [self.blocks.arrays[name] for name in names]
        self.masks = [self.blocks.mask(name) for name in names]
        checks.check_presence(names, self.masks)
        if previous is not None:
            self.inputs = checks.same_inputs(mapper, self.reader)
            checks.check_goes_on(mapper, self.hidden, self.terms, self.target, previous)
        else:
            wanted = by_view(mapper.standardize, names, "standardize", True)
            self.inputs = inputs_of(self.blocks, wanted, self.shapes)
        self.ids = [nn.identical_rows(array) for array in self.arrays]
        share = self._share_held_out()
        against_y = self.terms[0].loss.kind in ("target", "labels")
        self.rows, self.held = split(
            self.ids, self.masks, share, self.rng, whole=against_y
        )
        if share and len(self.held) == 0:
            # As with classes for a view: new rows, of which one view is known.
            self.rows, self.held = split(
                self.ids, self.masks, share, self.rng, whole=True
            )
        if share and len(self.held) == 0:
            warn(
                f"No {share:.0%} of the rows can be held out, since too few of the "
                f"{len(self.rows)} are distinct. The fit does not stop early; set "
                "early_stopping=False.",
                UserWarning,
            )
        n_batch = min(mapper.batch_size, len(self.rows))
        checks.check_batches(mapper, self.terms, n_batch)

    def _share_held_out(self):
        mapper, n = self.mapper, self.blocks.n_rows
        if self.piece or not mapper.early_stopping or n < MIN_ROWS_TO_SPLIT:
            return 0.0
        share = mapper.validation_fraction
        # In few rows the loss that whitens is the same whatever the encodings are.
        by_loss = self.terms[0].loss.whitened and mapper.scoring in (None, "loss")
        if by_loss and share * n < 4 * mapper.n_components:
            return 0.0
        return share

    def _read(self):
        mapper = self.mapper
        if self.going_on:
            reader = mapper._reader
            blocks = reader.read(mapper, self.X, self.y)
            if absent := [n for n in reader.names if n not in blocks.arrays]:
                raise ValueError(f"View {absent[0]!r} is not there to be trained on.")
            return reader, on_host(blocks)
        reader = open_door(mapper.views, self.X)
        mapper._check_fusion(reader.names)
        if self.piece:
            reader.check_streams()
        return reader, on_host(reader.fit(mapper, self.X, self.y))

    def train(self, max_iter, **hooks):
        """Train; a `FloatingPointError` leaves the last finite weights.

        Parameters
        ----------
        max_iter : int
        **hooks
            ``on_epoch_begin`` and ``on_epoch`` of `skmeta.nn.training.train`.

        Returns
        -------
        history : History or None
        failure : FloatingPointError or None
        """
        nn, mapper = self.nn, self.mapper
        encoders = mapper.encoders or {}
        seed = int(self.rng.randint(np.iinfo(np.int32).max))
        generator = nn.torch_generator(seed)
        with nn.torch_randomness(seed, self.device, encoders):
            self.space = nn.place(self._space(generator), self.device, seed)
            data = nn.make_data(
                self.arrays,
                self.inputs,
                self.masks,
                self.ids,
                self.device,
                shapes=[self.shapes.get(name) for name in self.reader.names],
                target=None if self.target is None else self.target.values,
            )
            score = None
            if len(self.held):
                score = self._score(data)
            try:
                history = nn.train(
                    self.space,
                    nn.objective(self.terms),
                    data,
                    self.rows,
                    self._plan(max_iter),
                    self.rng,
                    score=score,
                    checkpoint=self._checkpoint(),
                    generators=[
                        generator,
                        *nn.global_generators(encoders, self.device),
                    ],
                    optimiser_state=mapper._optimiser if self.going_on else None,
                    **hooks,
                )
            except FloatingPointError as error:
                return None, error
        return history, None

    def trained(self):
        """Networks by view, learned scalars by loss, and head, as numpy."""
        return self.nn.read_space(
            self.space, self.reader.names, self.inputs, self.shapes
        )

    def _space(self, generator):
        mapper, nn, names = self.mapper, self.nn, self.reader.names
        outputs = None
        if self.terms[0].loss.kind == "target" and mapper.head == "linear":
            outputs = self.target.n_outputs
        fusion = mapper.fusion
        space = nn.make_space(
            {n: (self.blocks.arrays[n].shape[1], self.shapes.get(n)) for n in names},
            mapper.encoders or {},
            mapper.n_components,
            self.hidden,
            self.terms,
            generator=generator,
            head=outputs,
            fusion=names.index(fusion) if fusion in names else fusion,
            augment={
                name: nn.get_augmentation(function)
                for name, function in (mapper.augment or {}).items()
            },
            activation=mapper.activation,
            dropout=mapper.dropout,
            layer_norm=mapper.layer_norm,
        )
        if self.previous is not None:
            nn.start_from(space, names, *self.previous)
        return space

    def _plan(self, max_iter):
        mapper = self.mapper
        return self.nn.Plan(
            batch_size=mapper.batch_size,
            max_iter=max_iter,
            learning_rate=mapper.learning_rate_init,
            weight_decay=mapper.weight_decay,
            warmup=0.0 if self.piece else mapper.warmup_fraction,
            schedule="constant" if self.piece else mapper.learning_rate,
            max_norm=mapper.max_grad_norm,
            n_iter_no_change=mapper.n_iter_no_change,
            tol=mapper.tol,
            precision=mapper.precision,
            compile=mapper.compile,
        )

    def _checkpoint(self):
        if self.piece:
            return None
        arrays = [*self.arrays, *self.masks]
        if self.target is not None:
            arrays.append(self.target.values)
        return self.nn.checkpoint_of(self.mapper, arrays)

    def _score(self, data):
        """``space -> score`` of the rows that are held out."""
        scoring, rows = self.mapper.scoring, self.held
        if scoring is None or scoring == "loss":
            return self.nn.validation_score(self.terms, data, rows, scoring=scoring)
        scorer = get_scorer(scoring)
        blocks = rows_of(self.blocks, rows)
        X = safe_indexing(self.X, rows)
        y = None if self.y is None else safe_indexing(self.y, rows)

        def score(space):
            try:
                return float(scorer(self.as_it_stands(blocks), X, y))
            except AttributeError as error:
                if self.target is not None and self.terms[0].loss.kind == "target":
                    raise
                raise ValueError(
                    f"scoring={scoring!r} asks for what a mapper without a target does "
                    f"not have ({error}). Score it by a RetrievalScorer or None, or "
                    "train it against y (loss='cross_entropy' or 'mse')."
                ) from error

        return score

    def as_it_stands(self, blocks):
        """A copy of the mapper with the weights that training has come to.

        Statistics of the coordinates are those of ``blocks``.
        """
        mapper = copy.copy(self.mapper)
        if not self.going_on:
            self.reader.claim(mapper, self.X)
        mapper._store(self, blocks)
        return mapper
