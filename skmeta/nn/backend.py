"""What estimators ask of torch: numpy arrays in, a trained space out."""

import numpy as np
import torch

from skmeta.nn.data import Data, Table, identical_rows
from skmeta.nn.encoders import MLP
from skmeta.nn.losses import get_loss
from skmeta.nn.objective import Space, objective, validation_score
from skmeta.nn.training import Plan, resolve_device, train

__all__ = [
    "Plan",
    "get_loss",
    "identical_rows",
    "make_data",
    "make_space",
    "objective",
    "resolve_device",
    "train",
    "validation_score",
]


def make_space(widths, hidden, n_components, *, loss, seed, **options):
    """An untrained encoder for each view, of which ``widths`` are the columns."""
    generator = torch.Generator().manual_seed(seed)
    encoders = [
        MLP(width, hidden, n_components, generator=generator, **options)
        for width in widths
    ]
    return Space(encoders, loss.learnable)


def make_data(arrays, inputs, masks, ids, device):
    """Training rows as tensors; ``inputs`` are means and scales of each view."""
    tables = [
        Table(array, mask, means, scales, device)
        for array, mask, (means, scales) in zip(arrays, masks, inputs, strict=True)
    ]
    present = [None if mask.all() else torch.from_numpy(mask) for mask in masks]
    groups = [
        None if same is None else torch.from_numpy(np.asarray(same)) for same in ids
    ]
    return Data(tables, present, groups, device)
