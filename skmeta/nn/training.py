"""The one training loop: encoders of several views, towards one loss."""

import copy
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from skmeta.nn.data import epoch_batches
from skmeta.nn.losses import over_pairs, unit


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


class History(NamedTuple):
    """What happened."""

    losses: list  # mean loss of each epoch
    scores: list  # validation score of each epoch; empty without validation rows
    converged: bool  # whether it stopped by itself, or was no longer improving
    best: int  # the epoch whose weights were kept, from 0


class Space(nn.Module):
    """An encoder of each view, and what the loss learns along."""

    def __init__(self, encoders, learnable):
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.learned = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(v)) for name, v in learnable.items()}
        )

    def encode(self, batch):
        """Encodings (n_rows, n_components) of each view, zeros where a row lacks it."""
        encodings = []
        for encoder, X, places in zip(
            self.encoders, batch.inputs, batch.places, strict=True
        ):
            Z = encoder(X)
            if places is not None:
                full = torch.zeros(batch.n, Z.shape[1], device=Z.device, dtype=Z.dtype)
                Z = full.index_copy(0, places, Z)
            encodings.append(Z)
        return encodings


def alignment_loss(space, loss, batch):
    """The loss of a batch, None where it has no two rows to compare."""
    encodings, learned = space.encode(batch), dict(space.learned)
    if loss.kind == "all":
        rows = _complete(batch)
        if rows is not None:
            encodings = [Z[rows] for Z in encodings]
        if len(encodings[0]) < 2:
            return None
        return loss.function(*encodings, **learned)
    positives = None
    if loss.positives and any(ids is not None for ids in batch.groups):

        def positives(a, b, rows):
            return _same(batch, a, b, rows)

    return over_pairs(loss.function, encodings, batch.present, positives, **learned)


def _complete(batch):
    masks = [mask for mask in batch.present if mask is not None]
    return torch.stack(masks).all(dim=0).nonzero()[:, 0] if masks else None


def _same(batch, a, b, rows):
    """Pairs of rows that are identical in one of two views."""
    result = None
    for ids in (batch.groups[a], batch.groups[b]):
        if ids is None:
            continue
        ids = ids if rows is None else ids[rows]
        same = ids[:, None] == ids[None, :]
        result = same if result is None else result | same
    return result


def train(space, loss, data, rows, plan, rng, *, score=None, on_epoch=None):
    """Fit the encoders in place; the best weights by ``score`` are those that stay.

    Parameters
    ----------
    space : Space
    loss : Loss
    data : Data
    rows : ndarray of int
        To train on.
    plan : Plan
    rng : numpy RandomState
    score : callable or None
        ``(space) -> float`` of held-out rows, higher for better.
    on_epoch : callable or None
        ``(epoch, loss, score) -> bool``: whether to stop.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        If the loss or its gradient is no longer finite; the weights are the last finite
        ones.
    """
    parameters = [p for p in space.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        _decayed(space, plan.weight_decay), lr=plan.learning_rate, fused=True
    )
    n_batches = max(1, math.ceil(len(rows) / plan.batch_size))
    n_steps, step = plan.max_iter * n_batches, 0
    losses, scores, best = [], [], -math.inf
    kept, kept_epoch, converged, waiting = None, 0, False, 0
    for epoch in range(plan.max_iter):
        space.train()
        total, count = 0.0, 0
        for index in epoch_batches(rows, plan.batch_size, rng):
            rate = plan.learning_rate * _share(plan, step, n_steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            value = alignment_loss(space, loss, data.batch(index))
            step += 1
            if value is None:
                continue
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            norm = nn.utils.get_total_norm(
                [p.grad for p in parameters if p.grad is not None]
            )
            current = value.item()
            if not (math.isfinite(current) and math.isfinite(norm.item())):
                raise FloatingPointError(
                    f"The loss became {current} at step {step} (epoch {epoch + 1}, "
                    f"learning rate {rate:.3g}). The weights are those before it; "
                    "lower learning_rate_init, or clip gradients by max_grad_norm."
                )
            if plan.max_norm is not None:
                nn.utils.clip_grads_with_norm_(parameters, plan.max_norm, norm)
            optimiser.step()
            total, count = total + current * len(index), count + len(index)
        if count == 0:
            raise ValueError(
                "No batch has two rows with the same two views; raise batch_size."
            )
        losses.append(total / count)
        scores += [score(space)] if score is not None else []
        now = scores[-1] if scores else -losses[-1]
        if scores and now > best:
            kept, kept_epoch = copy.deepcopy(space.state_dict()), epoch
        improved = now > best + plan.tol
        best = max(best, now)
        waiting = 0 if improved else waiting + 1
        if on_epoch is not None and on_epoch(epoch, losses[-1], now):
            converged = True
        if converged or waiting >= plan.n_iter_no_change:
            converged = True
            break
    if kept is not None:
        space.load_state_dict(kept)
    space.eval()
    settled = converged or waiting > plan.n_iter_no_change // 2
    return History(losses, scores, settled, kept_epoch if scores else epoch)


def _decayed(space, weight_decay):
    """Weight matrices decay; biases, gains and what the loss learns along do not."""
    matrices = [p for p in space.parameters() if p.ndim > 1]
    others = [p for p in space.parameters() if p.ndim <= 1]
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


# Partners are ranked among at most so many held-out rows.
MAX_RANKED = 4096


def validation_score(loss, data, rows):
    """``space -> score`` of held-out rows: higher is better.

    The mean reciprocal rank of a row's partner, over both directions and all pairs of
    views, where the loss compares directions; minus the loss otherwise.
    """
    batch = data.batch(torch.from_numpy(np.asarray(rows[:MAX_RANKED], np.int64)))

    @torch.no_grad()
    def score(space):
        space.eval()
        if not loss.cosine:
            value = alignment_loss(space, loss, batch)
            return -math.inf if value is None else -value.item()
        value = over_pairs(_reciprocal_ranks, space.encode(batch), batch.present)
        return 0.0 if value is None else value.item()

    return score


def _reciprocal_ranks(Za, Zb):
    S = unit(Za) @ unit(Zb).T
    own = S.diagonal()
    total = 0.0
    for scores, mine in ((S, own[:, None]), (S.T, own[:, None])):
        above = (scores > mine).sum(dim=1)
        ties = (scores == mine).sum(dim=1)  # itself among them
        total = total + (1 / (above + (ties + 1) / 2)).mean()
    return total / 2


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
