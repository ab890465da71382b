"""What training makes small and what it is judged by: of a batch of several views."""

import math
from functools import partial

import numpy as np
import torch
from torch import nn

from skmeta.nn.losses import over_pairs, unit


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


def objective(loss):
    """``(space, batch) -> value`` of a loss that compares views."""
    return partial(_alignment, loss)


def _alignment(loss, space, batch):
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
            value = _alignment(loss, space, batch)
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
