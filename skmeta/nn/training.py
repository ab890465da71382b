"""The one training loop: encoders of several views, towards one loss."""

import hashlib
import math
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from skmeta.nn.checkpoint import (
    generators_of,
    load_optimiser,
    optimiser_arrays,
    rng_state,
    set_rng_state,
    to_array,
    to_tensors,
)

# Few rows make few steps a pass: no fit stops before so many bring no improvement.
MIN_STEPS_NO_CHANGE = 100


class Plan(NamedTuple):
    """How long, how fast, and when to stop."""

    batch_size: int
    max_iter: int  # epochs
    learning_rate: float
    weight_decay: float
    warmup: float  # share of all steps in which the rate rises from 0
    schedule: str  # "constant" or "cosine", down to 0 at max_iter
    max_norm: float | None  # of the gradient
    n_iter_no_change: int
    tol: float
    precision: str = "float32"  # or "bf16": of the encoders while they train
    compile: bool = False  # the encoders, by torch.compile


class Remedies(NamedTuple):
    """What the user is to do where a fit fails, in the words of their parameters."""

    diverged: str = "lower learning_rate_init, or clip gradients by max_grad_norm"
    memory: str = (
        "lower batch_size (a contrastive loss then compares a row with fewer others)"
    )
    unit: str = "rows"  # of a batch
    empty: str = (
        "No batch has two rows with the same two views; raise batch_size, or give "
        "more rows that have both."
    )


class History(NamedTuple):
    """What happened."""

    losses: list  # mean loss of each epoch
    scores: list  # validation score of each epoch; empty without validation rows
    converged: bool  # whether it stopped by itself, or was no longer improving
    best: int  # the epoch whose weights were kept, from 0
    optimiser_state: dict  # arrays named parameter/quantity, after the last epoch


@dataclass
class Standing:
    """Where a fit stands after an epoch, beside weights, moments and generators."""

    step: int = 0
    losses: list = field(default_factory=list)
    scores: list = field(default_factory=list)
    best: float = -math.inf
    best_epoch: int = 0
    waiting: int = 0
    converged: bool = False
    finished: bool = False


def train(
    space,
    objective,
    data,
    rows,
    plan,
    rng,
    *,
    score=None,
    on_epoch_begin=None,
    on_epoch=None,
    checkpoint=None,
    generators=(),
    optimiser_state=None,
    remedies=None,
):
    """Fit the encoders in place; the best weights by ``score`` are those that stay.

    Parameters
    ----------
    space : Space
    objective : callable
        ``(space, batch) -> scalar tensor``, or None where a batch tells nothing.
    data : Data
    rows : ndarray of int
        To train on.
    plan : Plan
    rng : numpy RandomState or Generator
    score : callable or None
        ``(space) -> float`` of held-out rows, higher for better.
    on_epoch_begin : callable or None
        ``(epoch)``.
    on_epoch : callable or None
        ``(epoch, loss, score) -> bool``: whether to stop.
    checkpoint : Checkpoint or None
        Written after every epoch. Where its file is there, the fit goes on from it, and
        what is given must be as it was given then: the result is that of a fit that was
        never interrupted, to the bit.
    generators : sequence of torch.Generator
        Those that training draws from beside the ones that modules of the space hold.
    optimiser_state : dict of str to ndarray or None
        To go on from: that of a `History`.
    remedies : Remedies or None
        What the user is to do where the fit fails; None is for mappers.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        If the loss or its gradient is no longer finite; the weights are the last finite
        ones.
    """
    remedies = Remedies() if remedies is None else remedies
    optimiser = _optimiser(space, plan)
    if optimiser_state is not None:
        load_optimiser(optimiser, space, optimiser_state)
    n_steps = plan.max_iter * max(1, math.ceil(len(rows) / plan.batch_size))
    n_batches = n_steps // plan.max_iter
    patience = max(plan.n_iter_no_change, math.ceil(MIN_STEPS_NO_CHANGE / n_batches))
    now, kept, saver = Standing(), None, None
    if checkpoint is not None:
        generators = [*generators_of(space), *generators]
        saver = _Saver(checkpoint, space, optimiser, rng, generators, rows)
        now, kept = saver.restore() or (now, kept)
    with _training_forward(space, plan):
        while not now.finished:
            epoch = len(now.losses)
            if on_epoch_begin is not None:
                on_epoch_begin(epoch)
            space.train()
            batches = data.batches(rows, plan.batch_size, rng)
            try:
                loss = _one_pass(
                    space,
                    objective,
                    data,
                    batches,
                    plan,
                    optimiser,
                    now,
                    n_steps,
                    remedies,
                )
            except torch.OutOfMemoryError as error:
                error.add_note(
                    f"Training on batches of {plan.batch_size} {remedies.unit} does "
                    f"not fit the memory of the device; {remedies.memory}, or take "
                    "device='cpu'."
                )
                raise
            now.losses.append(loss)
            value = -now.losses[-1]
            if score is not None:
                value = float(score(space))
                now.scores.append(value)
                if value >= now.best:  # of equals the one that is trained longer
                    kept, now.best_epoch = _snapshot(space, kept), epoch
            improved = value > now.best + plan.tol
            now.best = max(now.best, value)
            now.waiting = 0 if improved else now.waiting + 1
            stop = on_epoch is not None and on_epoch(epoch, now.losses[-1], value)
            now.converged = bool(stop) or now.waiting >= patience
            now.finished = now.converged or epoch + 1 == plan.max_iter
            if now.finished and kept is not None:
                space.load_state_dict(kept)
                kept = None
            if saver is not None:
                saver.save(now, kept)
    space.eval()
    return History(
        now.losses,
        now.scores,
        now.converged or now.waiting > patience // 2,
        now.best_epoch if now.scores else len(now.losses) - 1,
        optimiser_arrays(optimiser, space),
    )


def _one_pass(space, objective, data, batches, plan, optimiser, now, n_steps, remedies):
    """Mean loss of the rows, each batch a step; counts the steps in ``now``."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    several = parameters[0].device.type != "cpu"  # at once: slower for few on a CPU
    buffers = list(space.buffers())
    total, count, constant = 0.0, 0, False
    for index in batches:
        rate = plan.learning_rate * _share(plan, now.step, n_steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        before = [buffer.clone() for buffer in buffers]  # running means change forward
        try:
            value = objective(space, data.batch(index))
        except torch.linalg.LinAlgError:  # what a decomposition makes of NaN
            value = torch.tensor(math.nan, requires_grad=True)
        now.step += 1
        if value is None:
            continue
        if not value.requires_grad:
            constant = True
            continue
        for p in parameters:
            p.grad = None
        value.backward()
        norm = _norm([p.grad for p in parameters if p.grad is not None], several)
        # one wait for the device
        current, length = torch.stack([value.detach().to(norm.dtype), norm]).tolist()
        if not (math.isfinite(current) and math.isfinite(length)):
            for buffer, old in zip(buffers, before, strict=True):
                buffer.copy_(old)
            raise FloatingPointError(
                f"The loss became {current} at step {now.step} (epoch "
                f"{len(now.losses) + 1}, learning rate {rate:.3g}). The weights are "
                f"those before it; {remedies.diverged}."
            )
        if plan.max_norm is not None:
            nn.utils.clip_grads_with_norm_(
                parameters, plan.max_norm, norm, foreach=several
            )
        optimiser.step()
        total, count = total + current * len(index), count + len(index)
    if count == 0 and constant:
        raise ValueError(
            "The loss depends on nothing that is trained: it was detached from its "
            "graph, or all that it compares is frozen (requires_grad=False)."
        )
    if count == 0:
        raise ValueError(remedies.empty)
    return total / count


def _norm(gradients, several):
    """Euclidean norm of all of them."""
    if several or not gradients:
        return nn.utils.get_total_norm(gradients, foreach=several)
    # Twice as fast on a CPU.
    return torch.linalg.vector_norm(
        torch.stack([torch.linalg.vector_norm(g) for g in gradients])
    )


class _Saver:
    """All that a fit is made of, into a checkpoint and out of it."""

    def __init__(self, checkpoint, space, optimiser, rng, generators, rows):
        self.checkpoint, self.space, self.optimiser = checkpoint, space, optimiser
        self.rng = rng
        self.generators = list({id(g): g for g in generators}.values())
        # As the fit began: without a seed all this is another each time, and weights
        # are where a fit goes on from those of one before.
        start = hashlib.sha256(repr(rng_state(rng)).encode())
        start.update(np.asarray(rows, np.int64).tobytes())
        for value in space.state_dict().values():
            start.update(to_array(value).tobytes())
        self.start = start.hexdigest()

    def save(self, now, kept):
        arrays = {
            "space": {k: to_array(v) for k, v in self.space.state_dict().items()},
            "kept": {k: to_array(v) for k, v in (kept or {}).items()},
            "optimiser": optimiser_arrays(self.optimiser, self.space),
            "generator": {
                str(i): to_array(g.get_state()) for i, g in enumerate(self.generators)
            },
        }
        values = {
            "start": self.start,
            "rng": rng_state(self.rng),
            "standing": asdict(now),
        }
        self.checkpoint.write(
            values,
            {
                f"{a}/{b}": array
                for a, part in arrays.items()
                for b, array in part.items()
            },
        )

    def restore(self):
        """Where the fit stands, and the weights kept; None without a file."""
        found = self.checkpoint.read()
        if found is None:
            return None
        values, arrays = found
        if values["start"] != self.start:
            raise self.checkpoint.of_another_fit(
                "its rows, first weights or random numbers are not the same, as "
                "happens where random_state is no number"
            )
        parts = {"space": {}, "kept": {}, "optimiser": {}, "generator": {}}
        for name, array in arrays.items():
            part, key = name.split("/", 1)
            parts[part][key] = array
        self.space.load_state_dict(to_tensors(parts["space"]))
        load_optimiser(self.optimiser, self.space, parts["optimiser"])
        set_rng_state(self.rng, values["rng"])
        for i, generator in enumerate(self.generators):
            generator.set_state(torch.tensor(parts["generator"][str(i)]))
        return Standing(**values["standing"]), to_tensors(parts["kept"]) or None


def _snapshot(space, into):
    """A copy of the weights, in the memory of an earlier one."""
    state = space.state_dict()
    if into is None:
        return {name: value.detach().clone() for name, value in state.items()}
    for name, value in state.items():
        into[name].copy_(value)
    return into


@contextmanager
def _training_forward(space, plan):
    """Encoders in the plan's precision, and compiled, while they train.

    Losses and scores are taken in float32: a Cholesky factor in bf16 there is not, and
    it is in float32 that the encoders will be used. Convolutions on a GPU go the ways
    that give the same bits each time.
    """
    encoders = []
    if plan.precision != "float32" or plan.compile:
        encoders = list(dict.fromkeys(space.encoders))  # views may share one
    for encoder in encoders:
        encoder.forward = _forward(encoder, plan)  # the keys of state_dict stay
    try:
        on_gpu = next(space.parameters()).device.type == "cuda"
        with SAME_BITS if on_gpu else nullcontext():
            yield
    finally:
        for encoder in encoders:
            del encoder.forward


class _SameBits:
    """While a fit is within, convolutions on a GPU give the same bits each time.

    The switches are the process's: the first fit of several at a time sets them, and
    the last puts them back as they were.
    """

    def __init__(self):
        self.lock, self.n_within, self.before = threading.Lock(), 0, None

    def __enter__(self):
        cudnn = torch.backends.cudnn
        with self.lock:
            if self.n_within == 0:
                self.before = cudnn.deterministic, cudnn.benchmark
                cudnn.deterministic, cudnn.benchmark = True, False
            self.n_within += 1

    def __exit__(self, *error):
        cudnn = torch.backends.cudnn
        with self.lock:
            self.n_within -= 1
            if self.n_within == 0:
                cudnn.deterministic, cudnn.benchmark = self.before


SAME_BITS = _SameBits()


def _forward(encoder, plan):
    plain = fast = encoder.forward

    def in_bf16(X):
        with torch.autocast(X.device.type, dtype=torch.bfloat16):
            return plain(X).float()

    if plan.precision == "bf16":
        fast = in_bf16
    if plan.compile:
        # dynamic: one program for batches of all sizes, the same in a resumed fit
        fast = torch.compile(fast, dynamic=True)
    return lambda X: fast(X) if encoder.training else plain(X)


def _optimiser(space, plan):
    groups = _decayed(space, plan.weight_decay)
    if not groups:
        raise ValueError(
            "There is nothing to train: every parameter of the encoders is frozen "
            "(requires_grad=False). Unfreeze one, or end an encoder with a new layer."
        )
    try:
        return torch.optim.AdamW(groups, lr=plan.learning_rate, fused=True)
    except RuntimeError:  # a device without the fused kernel
        return torch.optim.AdamW(groups, lr=plan.learning_rate)


def _decayed(space, weight_decay):
    """Weight matrices decay; biases, gains and what the loss learns along do not."""
    trained = [p for p in space.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    others = [p for p in trained if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _share(plan, step, n_steps):
    """Share of the learning rate: linear warm-up, then constant or half a cosine."""
    warm = plan.warmup * n_steps
    if step < warm:
        return (step + 1) / (warm + 1)
    if plan.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, n_steps - warm)))


def resolve_device(device):
    """The torch device of a ``device=`` parameter.

    Raises
    ------
    ValueError
        If it is not there.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} is not there ({str(error).splitlines()[0]}); choose "
            "'cpu', or 'auto' for the fastest there is."
        ) from error
    return found
