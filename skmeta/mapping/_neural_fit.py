"""From checked views to trained encoders: what a fit of a neural mapper does."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skmeta.core.convnet import ConvNetwork
from skmeta.core.convnet import forward as convolve
from skmeta.core.device import OnDevice
from skmeta.core.network import Network, forward, standardisation

# With fewer rows than this there are none to spare for validation.
MIN_ROWS_TO_SPLIT = 20


class Trained(NamedTuple):
    """What training leaves, as numpy."""

    networks: dict  # of each view
    learned: dict  # by loss: its scalars
    head: tuple | None  # coefficients (n_outputs, n_fused) and intercepts (n_outputs,)


def torch_backend():
    """`skmeta.nn.backend`, which needs torch."""
    try:
        from skmeta.nn import backend
    except ImportError as error:
        if "torch" not in str(error):
            raise
        raise ImportError(
            "NeuralSharedSpaceMapper is trained by torch, which is not installed: "
            'pip install "skmeta[torch]".'
        ) from error
    return backend


def encode(network, X):
    """Encodings (n_rows, n_components), float32, of rows (n_rows, n_features)."""
    if isinstance(network, Network):
        return forward(network, X)
    if isinstance(network, ConvNetwork):
        return convolve(network, X)
    return torch_backend().foreign_forward(network, X)


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
    return blocks._replace(
        arrays={name: array[rows] for name, array in blocks.arrays.items()},
        present={name: mask[rows] for name, mask in blocks.present.items()},
        n_rows=len(rows),
    )


def widths(hidden_layer_sizes):
    """Widths of hidden layers, of what a user may give."""
    found = tuple(np.atleast_1d(hidden_layer_sizes).tolist())
    if any(not isinstance(w, int) or w < 1 for w in found):
        raise ValueError(
            "hidden_layer_sizes must be whole numbers from 1, one a hidden layer; got "
            f"{hidden_layer_sizes!r}."
        )
    return found


def terms_of(nn, loss, alignment):
    """The loss, and what is added to it, as terms of an objective."""
    main = nn.get_loss(loss)
    terms = [nn.Term(loss if isinstance(loss, str) else "callable", main)]
    if not isinstance(alignment, dict):
        alignment = {"info_nce": float(alignment)} if alignment else {}
    for name, weight in alignment.items():
        if name == loss or name not in nn.LOSSES or nn.LOSSES[name].kind == "target":
            known = [
                k for k, v in nn.LOSSES.items() if v.kind != "target" and k != loss
            ]
            raise ValueError(
                f"alignment= adds losses to loss={loss!r} by their weights, of "
                f"{known}; got {name!r}."
            )
        if not weight >= 0:
            raise ValueError(f"Weights of alignment= are 0 or more; got {weight!r}.")
        if weight:
            terms.append(nn.Term(name, nn.LOSSES[name], float(weight)))
    return tuple(terms)


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


def split(ids, masks, fraction, rng):
    """Rows to train on, and held-out ones that have at least two views."""
    n = len(masks[0])
    if not fraction or n < MIN_ROWS_TO_SPLIT:
        return np.arange(n), np.arange(0)
    groups = _joined(ids, masks)
    order = rng.permutation(groups.max() + 1)
    sizes = np.bincount(groups)[order]
    wanted = max(2, round(fraction * n))
    chosen = order[np.cumsum(sizes) <= wanted]
    held = np.isin(groups, chosen)
    if held.sum() < 2 or (~held).sum() < 2:
        return np.arange(n), np.arange(0)
    paired = np.sum(masks, axis=0) > 1
    return np.flatnonzero(~held), np.flatnonzero(held & paired)


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
