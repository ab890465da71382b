"""What training makes small and what it is judged by: of a batch of several views."""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from skmeta.nn.losses import Loss, over_pairs, unit


class Term(NamedTuple):
    """A loss and its weight in the sum."""

    name: str
    loss: Loss
    weight: float = 1.0


class Space(nn.Module):
    """An encoder of each view, what the losses learn along, and a head for a target.

    ``fusion`` is "concat", "mean" or the number of a view.
    """

    def __init__(
        self, encoders, n_out, terms, *, head=None, fusion="concat", augment=None
    ):
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.n_out = n_out
        self.learned = nn.ModuleDict(
            {
                term.name: nn.ParameterDict(
                    {n: nn.Parameter(torch.tensor(v)) for n, v in learnable.items()}
                )
                for term in terms
                if (learnable := term.loss.learnable)
            }
        )
        self.head = head
        self.fusion = fusion
        self.augment = augment  # (inputs) -> inputs while training

    def encode(self, batch):
        """Encodings (n_rows, n_components) of each view, zeros where a row lacks it."""
        inputs = batch.inputs
        if self.training and self.augment is not None:
            inputs = self.augment(inputs)
        encodings = []
        for encoder, X, places in zip(self.encoders, inputs, batch.places, strict=True):
            if places is None:
                encodings.append(encoder(X))
                continue
            full = X.new_zeros(batch.n, self.n_out)
            if len(X):  # no row of this batch may have the view
                full = full.index_copy(0, places, encoder(X))
            encodings.append(full)
        return encodings

    def output(self, encodings, present):
        """What the target is compared with: the head of the fused coordinates.

        The mean of the batch stands for a view that a row lacks.
        """
        filled = [
            Z if mask is None else torch.where(mask[:, None], Z, _mean(Z, mask))
            for Z, mask in zip(encodings, present, strict=True)
        ]
        if self.fusion == "concat":
            fused = torch.cat(filled, dim=1)
        elif self.fusion == "mean":
            fused = torch.stack(filled).mean(dim=0)
        else:
            fused = filled[self.fusion]
        return fused if self.head is None else self.head(fused)


def _mean(Z, mask):
    return (Z.detach().sum(dim=0) / mask.sum().clamp(min=1))[None]


def objective(terms):
    """``(space, batch) -> value``: the weighted sum of the terms that a batch has."""
    return partial(_value, tuple(terms))


def _value(terms, space, batch):
    encodings = space.encode(batch)
    total = None
    for term in terms:
        learned = space.learned[term.name] if term.loss.learnable else {}
        part = _PARTS[term.loss.kind](term.loss, space, encodings, batch, dict(learned))
        if part is not None:
            part = part if term.weight == 1 else term.weight * part
            total = part if total is None else total + part
    return total


def _of_pairs(loss, space, encodings, batch, learned):
    positives = None
    if loss.positives and any(ids is not None for ids in batch.groups):

        def positives(a, b, rows):
            return _same(batch, a, b, rows)

    return over_pairs(loss.function, encodings, batch.present, positives, **learned)


def _of_all(loss, space, encodings, batch, learned):
    masks = [mask for mask in batch.present if mask is not None]
    if masks:
        rows = torch.stack(masks).all(dim=0).nonzero()[:, 0]
        encodings = [Z[rows] for Z in encodings]
    if len(encodings[0]) < 2:
        return None
    return loss.function(*encodings, **learned)


def _of_labels(loss, space, encodings, batch, learned):
    rows, labels = [], []
    for Z, mask in zip(encodings, batch.present, strict=True):
        rows.append(Z if mask is None else Z[mask])
        labels.append(batch.target if mask is None else batch.target[mask])
    return loss.function(torch.cat(rows), torch.cat(labels), **learned)


def _of_target(loss, space, encodings, batch, learned):
    return loss.function(space.output(encodings, batch.present), batch.target)


_PARTS = {
    "pairs": _of_pairs,
    "all": _of_all,
    "labels": _of_labels,
    "target": _of_target,
}


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


# Of more held-out rows an even share is scored: ranks take the square of them.
MAX_RANKED = 4096


def validation_score(terms, data, rows, *, scoring=None):
    """``space -> score`` of held-out rows: higher is better.

    By the first of the terms: the mean reciprocal rank of a row's partner, over both
    directions and all pairs of views, where it compares directions; the mean average
    precision of the rows of the same class in the other view where labels make the
    positives; accuracy or R^2 of a target. Minus the objective with
    ``scoring="loss"`` and for other losses.
    """
    every = max(1, math.ceil(len(rows) / MAX_RANKED))
    batch = data.batch(torch.from_numpy(np.asarray(rows[::every], np.int64)))
    loss = terms[0].loss

    @torch.no_grad()
    def score(space):
        space.eval()
        value = None
        if scoring is None and loss.kind == "target":
            output = space.output(space.encode(batch), batch.present)
            return _target_score(output, batch.target)
        if scoring is None and loss.kind == "labels":
            same = batch.target[:, None] == batch.target[None, :]
            value = over_pairs(
                _average_precision,
                space.encode(batch),
                batch.present,
                lambda a, b, rows: same if rows is None else same[rows][:, rows],
            )
        elif scoring is None and loss.cosine:
            value = over_pairs(_reciprocal_ranks, space.encode(batch), batch.present)
        else:
            value = _value(terms, space, batch)
            value = None if value is None else -value
        return -math.inf if value is None else value.item()

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


def _average_precision(Za, Zb, same):
    S = unit(Za) @ unit(Zb).T
    total = 0.0
    for scores in (S, S.T):
        hits = same.gather(1, scores.argsort(dim=1, descending=True)).to(S.dtype)
        ranks = torch.arange(1, len(S) + 1, device=S.device, dtype=S.dtype)
        precision = hits * hits.cumsum(dim=1) / ranks
        total = total + (precision.sum(dim=1) / hits.sum(dim=1)).mean()
    return total / 2


def _target_score(output, target):
    if target.dtype == torch.int64:
        return (output.argmax(dim=1) == target).double().mean().item()
    left = ((output - target) ** 2).double().sum(dim=0)
    spread = ((target - target.mean(dim=0)) ** 2).double().sum(dim=0)
    return (1 - left / spread.clamp(min=torch.finfo(spread.dtype).tiny)).mean().item()
