"""Training of an encoder towards a metric head."""

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from skmeta.core.episodes import NONE
from skmeta.nn.augment import augmented, get_augmentation

# The average of the weights follows closely at first: over a tenth of the steps so far.
AVERAGE_START = 10


class MetricSpace(nn.Module):
    """An encoder, the head it is trained towards, and the average of its weights."""

    def __init__(self, encoder, head, *, augment=None, averaging=0.0, generator=None):
        super().__init__()
        self.encoders = nn.ModuleList([encoder])
        self.head = head
        self.augment = None if augment is None else get_augmentation(augment)
        self.generator = generator
        self.averaging = averaging
        self.average = None
        if averaging:
            self.average = copy.deepcopy(encoder).requires_grad_(False)
            self.register_buffer("n_averaged", torch.zeros((), dtype=torch.int64))

    def encode(self, X):
        """Encodings (n, n_components): after training those of the averaged weights."""
        if not self.training:
            return self.best_encoder(X)
        if self.augment is not None:
            X = augmented("augment", self.augment, X, self.generator)
        return self.encoders[0](X)

    @property
    def best_encoder(self):
        """The encoder that stays."""
        return self.encoders[0] if self.average is None else self.average

    @torch.no_grad()
    def follow(self):
        """Let the average follow the weights by a step."""
        if self.average is None:
            return
        n = int(self.n_averaged)
        self.n_averaged += 1
        share = 1 - min(self.averaging, (1 + n) / (AVERAGE_START + n))
        own = self.encoders[0].state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(own[name], share)
            else:
                value.copy_(own[name])


def objective(space, batch):
    """Cross-entropy of the rows asked for, over all splits of a batch."""
    space.follow()
    Z = space.encode(batch.X).unflatten(0, batch.there.shape)  # (C, m, d)
    n_splits, k = len(batch.support), int(batch.support[0].sum())
    place = batch.support.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    support, asked = place[:, :k], place[:, k:]  # (n_splits, k), (n_splits, m - k)
    known = batch.there[:, support].transpose(0, 1)  # (n_splits, C, k)
    logits = space.head(
        Z[:, support].transpose(0, 1),
        known,
        Z[:, asked].transpose(0, 1).flatten(1, 2),
    )
    n_classes = len(Z)
    own = torch.arange(n_classes, device=Z.device).repeat_interleave(asked.shape[1])
    own = own.expand(n_splits, -1)
    # A row counts that is there, and whose class has a support.
    counts = batch.there[:, asked].transpose(0, 1) & known.any(dim=2, keepdim=True)
    counts = counts.flatten(1, 2)
    if not counts.any():
        return None
    return F.cross_entropy(logits[counts], own[counts])


def episode_score(table, episodes):
    """``space -> accuracy`` of episodes (`skmeta.core.episodes.Episodes`).

    Rows of the table that an episode has are encoded once.
    """
    needed = np.unique(np.concatenate([e.ravel() for e in episodes[:2]]))
    needed = needed[needed != NONE]
    places = np.full(needed[-1] + 1, NONE)
    places[needed] = np.arange(len(needed))
    rows = torch.from_numpy(needed)

    def at(index):
        there = torch.from_numpy(index != NONE)
        return torch.from_numpy(places[np.maximum(index, 0)]).clamp(min=0), there

    support, there = at(episodes.support)
    query, asked = at(episodes.query)

    @torch.no_grad()
    def score(space):
        space.eval()
        Z = encode_table(space.best_encoder, table, rows)
        to = Z.device
        own = torch.arange(support.shape[1], device=to).repeat_interleave(
            query.shape[2]
        )
        logits = space.head(
            Z[support.to(to)], there.to(to), Z[query.to(to)].flatten(1, 2)
        )
        right = (logits.argmax(dim=2) == own)[asked.to(to).flatten(1, 2)]
        return right.double().mean().item()

    return score


ROWS_AT_A_TIME = 512


@torch.no_grad()
def encode_table(encoder, table, rows):
    """Encodings (n_rows, n_components) of rows of a table, where the encoder is."""
    return torch.cat([encoder(table.take(part)) for part in rows.split(ROWS_AT_A_TIME)])
