"""Encoders of one view: what is trained in torch, and what it becomes in numpy."""

import copy
import math
import threading
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from skmeta.core.network import NORM_EPS, Layer, Network, standardised

ACTIVATIONS = {
    "identity": nn.Identity(),
    "relu": torch.relu,
    "tanh": torch.tanh,
    "logistic": torch.sigmoid,
    "gelu": F.gelu,
    "silu": F.silu,
}


# Held while torch's global generator is drawn from and put back.
GLOBAL_GENERATOR = threading.RLock()


class Dropout(nn.Module):
    """Dropout that draws from a generator of its own, never from the global one."""

    def __init__(self, share, generator):
        super().__init__()
        self.share, self.generator = share, generator

    def forward(self, H):
        """Zero a share of the entries while training."""
        if not self.training or self.share == 0:
            return H
        keep = _keep(H.shape, self.share, self.generator).to(H.device, H.dtype)
        return H * keep.div_(1 - self.share)


def _keep(shape, share, generator):
    """A mask (shape) of the entries that stay, where the generator is."""
    if generator.device.type != "cpu":
        drawn = torch.rand(shape, generator=generator, device=generator.device)
        return drawn >= share
    # On a processor random numbers are what dropout costs: 16 bits for each entry.
    n = math.prod(shape)
    drawn = torch.empty(-(-n // 4), dtype=torch.int64)
    drawn.random_(-(2**63), None, generator=generator)
    least = min(round(share * 2**16), 2**16 - 1) - 2**15
    return (drawn.view(torch.int16)[:n] >= least).view(shape)


class MLP(nn.Module):
    """A multilayer perceptron, drawn from a generator.

    Weights start as those of `torch.nn.Linear`: uniform within 1 / sqrt(n_in). With
    ``skip`` a linear map of the rows is added, and it starts as the first ``n_out``
    columns alone.
    """

    def __init__(
        self,
        n_in,
        hidden,
        n_out,
        *,
        activation,
        dropout,
        layer_norm,
        generator,
        skip=False,
    ):
        super().__init__()
        self.activation = activation
        widths = [n_in, *hidden, n_out]
        self.linear = nn.ModuleList(
            linear(a, b, generator) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, eps=NORM_EPS) for width in hidden if layer_norm
        )
        self.act = ACTIVATIONS[activation]
        self.dropout = Dropout(dropout, generator)
        self.skip = None
        if skip:
            self.skip = nn.utils.skip_init(nn.Linear, n_in, n_out, bias=False)
            nn.init.eye_(self.skip.weight)
            nn.init.zeros_(self.linear[-1].weight)
            nn.init.zeros_(self.linear[-1].bias)

    def forward(self, X):
        """Encodings (n_rows, n_out) of standardised rows."""
        X = rows = X.flatten(1)
        *hidden, last = self.linear
        for i, linear in enumerate(hidden):
            # Calling a module takes as long as multiplying small matrices.
            X = F.linear(X, linear.weight, linear.bias)
            if self.norms:
                X = self.norms[i](X)
            X = self.dropout(self.act(X))
        Z = F.linear(X, last.weight, last.bias)
        return Z if self.skip is None else Z + F.linear(rows, self.skip.weight)

    def network(self, means, scales):
        """The same function of raw rows, as arrays."""
        layers = []
        for i, linear in enumerate(self.linear):
            norm = self.norms[i] if i < len(self.norms) else None
            layers.append(
                Layer(
                    _array(linear.weight.T),
                    _array(linear.bias),
                    None if norm is None else _array(norm.weight),
                    None if norm is None else _array(norm.bias),
                )
            )
        skip = None if self.skip is None else _array(self.skip.weight.T)
        return Network(means, scales, tuple(layers), self.activation, skip)

    def take(self, network):
        """Go on from the weights of a network of the same shape."""
        with torch.no_grad():
            for i, (linear, layer) in enumerate(
                zip(self.linear, network.layers, strict=True)
            ):
                linear.weight.copy_(torch.tensor(layer.weights.T))
                linear.bias.copy_(torch.tensor(layer.biases))
                if layer.gain is not None:
                    self.norms[i].weight.copy_(torch.tensor(layer.gain))
                    self.norms[i].bias.copy_(torch.tensor(layer.shift))
            if self.skip is not None:
                self.skip.weight.copy_(torch.tensor(network.skip.T))


class Foreign(nn.Module):
    """A module of the user's, or what a factory of theirs makes.

    Its random numbers come from torch's global generator, as modules have it: who
    trains it sees to that the generator is left as it was.
    """

    def __init__(self, source, view, n_out):
        super().__init__()
        self.view, self.n_out = view, n_out
        self.source = source
        self.module = build(source, view)

    def forward(self, X):
        """Encodings (n_rows, n_out)."""
        try:
            Z = self.module(X)
        except Exception as error:
            error.add_note(
                f"In the encoder{_of(self.view)}, of a batch of shape {tuple(X.shape)}."
            )
            raise
        shape = tuple(Z.shape) if isinstance(Z, torch.Tensor) else type(Z).__name__
        if shape != (len(X), self.n_out):
            raise ValueError(
                f"The encoder{_of(self.view)} made {shape} of {tuple(X.shape)}, "
                f"and ({len(X)}, {self.n_out}) is needed: n_components={self.n_out} "
                "columns. End it with nn.Linear, or change n_components."
            )
        return Z

    def network(self, means, scales, shape):
        """The module, and its weights as arrays."""
        state = self.module.state_dict()
        return ForeignNetwork(
            self.source,
            self.view,
            self.n_out,
            means,
            scales,
            shape,
            {
                name: value.detach().cpu().numpy().copy()
                for name, value in state.items()
            },
        )

    def take(self, network):
        """Go on from weights that `network` gave."""
        arrays = {name: torch.from_numpy(a) for name, a in network.arrays.items()}
        self.module.load_state_dict(arrays)


def _of(view):
    """Which encoder of several, for messages; a view of None is the only one."""
    return "" if view is None else f" of view {view!r}"


class ForeignNetwork(NamedTuple):
    """A module of the user's with weights of its own."""

    source: object  # the module, or the factory
    view: str | None
    n_out: int
    means: np.ndarray  # (n_features,)
    scales: np.ndarray
    shape: tuple | None  # of an entry, where it is no row of numbers
    arrays: dict  # the module's state


def build(source, view):
    """A module of its own, of a module or a factory without arguments."""
    module = copy.deepcopy(source) if isinstance(source, nn.Module) else source()
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"The function that is to make the encoder{_of(view)} made a "
            f"{type(module).__name__}; a torch.nn.Module is needed."
        )
    return module.float()  # as the rows are


# Rows are encoded so many at a time, the last ones filled up: a row's encoding is the
# same whatever rows stand beside it.
FOREIGN_ROWS = 256


@torch.no_grad()
def foreign_forward(network, X):
    """Encodings (n_rows, n_out) of rows (n_rows, n_features), as numpy."""
    if isinstance(network.source, nn.Module):
        foreign = Foreign(network.source, network.view, network.n_out)
    else:  # a factory draws weights, which the trained ones replace
        with GLOBAL_GENERATOR, torch.random.fork_rng(devices=[]):
            foreign = Foreign(network.source, network.view, network.n_out)
    foreign.take(network)
    foreign.eval().cpu()  # where modules of users are applied
    result = np.empty((X.shape[0], network.n_out), np.float32)
    for start in range(0, X.shape[0], FOREIGN_ROWS):
        rows = standardised(
            X[start : start + FOREIGN_ROWS], network.means, network.scales
        )
        n = len(rows)
        rows = torch.from_numpy(np.pad(rows, ((0, FOREIGN_ROWS - n), (0, 0))))
        rows = rows if network.shape is None else rows.unflatten(1, network.shape)
        result[start : start + n] = foreign(rows)[:n].float().numpy()
    return result


def _array(parameter):
    return parameter.detach().to("cpu", torch.float32).contiguous().numpy().copy()


def linear(n_in, n_out, generator):
    """A linear layer, drawn from a generator as torch draws its own."""
    # skip_init: a layer that torch starts itself draws from the global generator.
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
    bound = 1 / math.sqrt(n_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer
