"""The one training loop: encoders of several views, towards one loss."""

import copy
import math
from typing import NamedTuple

import torch
from torch import nn

from skmeta.nn.data import epoch_batches


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


def train(space, objective, data, rows, plan, rng, *, score=None, on_epoch=None):
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
            value = objective(space, data.batch(index))
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
