"""Output layers to begin a task with, of any number of classes.

A head is one matrix ``(n_features + 1, n_outputs)`` of features and a one; of each task
or of all.

References
----------
Triantafillou et al. (2020), "Meta-dataset", ICLR (the prototypes' layer).
Ye & Chao (2022), "How to train your MAML to excel in few-shot classification", ICLR
(one vector for all classes).
"""

import torch
from torch import nn
from torch.nn import functional as F

from skmeta.nn.engines import drawn


class Prototypes(nn.Module):
    """The layer whose softmax is that of squared distances from the class means.

    ``-|h - mu|^2 = 2 mu' h - |mu|^2``, less what is the same for all classes; gradients
    flow through the means.
    """

    needs_features = True

    def __init__(self, n_features):
        super().__init__()
        self.rate_shape = n_features + 1, 1

    def forward(self, support, n_outputs, H):
        """Heads (n_tasks, n_features + 1, n_outputs), of features of the support."""
        weights = support.weights.unsqueeze(2)
        shares = F.one_hot(support.y, n_outputs).to(H.dtype) * weights
        # A class that a task does not have has a mean of zero, which nothing looks at.
        totals = shares.sum(dim=1, keepdim=True)
        shares = shares / totals.where(totals > 0, 1)
        means = shares.mT @ H  # (n_tasks, n_outputs, n_features)
        norms = means.square().sum(dim=2, keepdim=True)
        return torch.cat([2 * means, -norms], dim=2).mT


class OneForAll(nn.Module):
    """The same vector for every class: zero.

    A learned vector that all classes begin with, as Ye & Chao have it, shifts the
    logits of all classes alike; a softmax does not see it, nor do its gradients, and
    zero is as good as any. Classes come apart in the inner loop.
    """

    needs_features = False

    def __init__(self, n_features):
        super().__init__()
        self.rate_shape = n_features + 1, 1  # of learned rates: all classes have one

    def forward(self, support, n_outputs, H=None):
        """The head (n_features + 1, n_outputs) of all tasks."""
        return support.weights.new_zeros(self.rate_shape[0], n_outputs)


class Linear(nn.Module):
    """A learned layer, for outputs that are the same in all tasks."""

    needs_features = False

    def __init__(self, n_features, n_outputs, *, generator):
        super().__init__()
        self.layer = nn.Parameter(drawn(n_features, n_outputs, generator))
        self.rate_shape = n_features + 1, n_outputs

    def forward(self, support, n_outputs, H=None):
        """The head (n_features + 1, n_outputs) of all tasks."""
        return self.layer


def make_head(name, n_features, n_outputs=None, *, generator=None):
    """One of `CLASSIFICATION_HEADS`, or `Linear` for that many outputs."""
    if n_outputs is not None:
        return Linear(n_features, n_outputs, generator=generator)
    return CLASSIFICATION_HEADS[name](n_features)


CLASSIFICATION_HEADS = {"prototype": Prototypes, "linear": OneForAll}
