"""Heads of metric learners in torch: logits of many splits of a batch at once.

A split has a support (n_splits, n_classes, k, d) and queries (n_splits, n_queries, d);
what rows there are is told by masks. `skmeta.core.heads` has the same in numpy.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from skmeta.nn.checkpoint import to_array, to_tensors
from skmeta.nn.encoders import linear

# Relation scores are of a prototype beside a query, through a layer so wide.
RELATION_WIDTH = 64
START_COSINE_SCALE = 10.0  # what a cosine is multiplied by, before training


class MetricHead(nn.Module):
    """Logits of queries after a support, and what is learned along with the encoder."""

    def __init__(self, name, metric, n_components, *, scale=None, generator):
        super().__init__()
        self.name, self.metric = name, metric
        if scale is None:
            scale = {"cosine": START_COSINE_SCALE, "euclidean": 1.0 / n_components}
            scale = scale.get(metric, 1.0 / math.sqrt(n_components))
        if name == "ridge":
            scale = START_COSINE_SCALE
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        if name == "ridge":
            self.log_penalty = nn.Parameter(torch.tensor(0.0))
        if name == "relation":
            self.hidden = linear(2 * n_components, RELATION_WIDTH, generator)
            self.out = linear(RELATION_WIDTH, 1, generator)

    def forward(self, support, there, Q):
        """Logits (n_splits, n_queries, n_classes).

        Parameters
        ----------
        support : tensor (n_splits, n_classes, k, d)
        there : tensor of bool (n_splits, n_classes, k)
            Classes without a row have logits of minus infinity.
        Q : tensor (n_splits, n_queries, d)
        """
        logits = getattr(self, f"_{self.name}")(support, there, Q)
        empty = ~there.any(dim=2)
        return logits.masked_fill(empty[:, None], -math.inf)

    def _prototype(self, support, there, Q):
        return self.log_scale.exp() * _similarities(
            Q, _means(support, there), self.metric
        )

    def _matching(self, support, there, Q):
        n, n_classes, k, d = support.shape
        S = _similarities(Q, support.reshape(n, -1, d), self.metric)
        S = (self.log_scale.exp() * S).unflatten(2, (n_classes, k))
        S = S.masked_fill(~there[:, None], -math.inf)
        counts = there.sum(dim=2).clamp(min=1).to(S.dtype)
        return torch.logsumexp(S, dim=3) - torch.log(counts)[:, None]

    def _ridge(self, support, there, Q):
        means = _means(support, there)
        some = there.any(dim=2).to(support.dtype)  # (n_splits, n_classes)
        n_classes = some.sum(dim=1).clamp(min=1)  # (n_splits,)
        mean = (means * some[..., None]).sum(dim=1) / n_classes[:, None]
        weights = _shares(there, support.dtype) / n_classes[:, None, None]
        X = (support - mean[:, None, None]) * weights.sqrt()[..., None]
        X = X.flatten(1, 2)  # (n_splits, n_rows, d)
        eye = torch.eye(there.shape[1], dtype=X.dtype, device=X.device)
        targets = eye - 1.0 / n_classes[:, None, None]
        Y = targets[:, :, None] * weights.sqrt()[..., None]
        Y = Y.flatten(1, 2)  # (n_splits, n_rows, n_classes)
        n, p = X.shape[1:]
        ranks = there.sum(dim=(1, 2)).clamp(min=1, max=p)
        variance = X.square().sum(dim=(1, 2)) / ranks
        penalty = (self.log_penalty.exp() * variance).clamp(min=1e-12)[:, None, None]
        if n < p:
            inner = X @ X.mT
            inner = inner + penalty * torch.eye(n, dtype=X.dtype, device=X.device)
            W = X.mT @ torch.linalg.solve(inner, Y)
        else:
            inner = X.mT @ X
            inner = inner + penalty * torch.eye(p, dtype=X.dtype, device=X.device)
            W = torch.linalg.solve(inner, X.mT @ Y)
        return self.log_scale.exp() * ((Q - mean[:, None]) @ W)

    def _relation(self, support, there, Q):
        P = _means(support, there)
        # The layer of both side by side is the sum of a layer of each.
        d = P.shape[2]
        of_prototypes = P @ self.hidden.weight[:, :d].T
        of_queries = Q @ self.hidden.weight[:, d:].T + self.hidden.bias
        H = F.relu(of_prototypes[:, None] + of_queries[:, :, None])
        return self.out(H)[..., 0]


def _means(support, there):
    """Prototypes (n_splits, n_classes, d)."""
    return (support * _shares(there, support.dtype)[..., None]).sum(dim=2)


def _shares(there, dtype):
    """Of each place (n_splits, n_classes, k) its share in the mean of its class."""
    return there.to(dtype) / there.sum(dim=2, keepdim=True).clamp(min=1)


def _similarities(Q, P, metric):
    """How near rows are: (n_splits, n_queries, n_rows)."""
    if metric == "dot":
        return Q @ P.mT
    if metric == "cosine":
        return F.normalize(Q, dim=2) @ F.normalize(P, dim=2).mT - 1.0
    if metric == "euclidean":
        squares = Q.square().sum(dim=2)[..., None] + P.square().sum(dim=2)[:, None]
        return 2.0 * (Q @ P.mT) - squares
    if metric == "manhattan":
        return -torch.cdist(Q, P, p=1.0)
    return metric(Q, P)


def read_relation(head):
    """The layers of a relation head as arrays: a dict, empty for other heads."""
    if head.name != "relation":
        return {}
    with torch.no_grad():
        return {
            "relation": tuple(
                a.detach().cpu().double().numpy()
                for layer in (head.hidden, head.out)
                for a in (layer.weight.T, layer.bias)
            )
        }


def read_weights(head):
    """All that a head learns, as arrays."""
    return {name: to_array(value) for name, value in head.state_dict().items()}


def take_weights(head, arrays):
    """Go on from what `read_weights` read of such a head."""
    head.load_state_dict(to_tensors(arrays))
