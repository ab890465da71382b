"""How an encoder runs with weights of their own for each of many tasks.

An engine is a function ``(params, X)``: of parameters ``(n_tasks, ...)`` by name and
rows ``(n_tasks, n_rows, ...)`` it makes features ``(n_tasks, n_rows, n_out)``. All give
the same, at different speed.
"""

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from skmeta.core.network import Layer, Network
from skmeta.nn import perceptron
from skmeta.nn.checkpoint import to_array
from skmeta.nn.convolution import Conv4, ResNet

GROUPED = Conv4, ResNet  # with of_tasks

# What vmap cannot do, or does slower than a loop.
LOOPED = (nn.modules.conv._ConvNd, nn.RNNBase, nn.RNNCellBase)


class Perceptron(nn.Module):
    """The hidden layers of a multilayer perceptron, drawn from a generator.

    Weights start as those of `torch.nn.Linear`, each layer one matrix as in
    `skmeta.nn.perceptron`.
    """

    def __init__(self, n_in, hidden, *, activation, generator):
        super().__init__()
        self.activation = activation
        widths = [n_in, *hidden]
        self.n_out = widths[-1]
        self.layers = nn.ParameterList(
            drawn(a, b, generator) for a, b in zip(widths, widths[1:], strict=False)
        )

    def forward(self, X):
        """Features (n_rows, n_out), the values of the last hidden layer."""
        return perceptron.hidden(self.activation, list(self.layers), X)

    def network(self, means, scales, head=None):
        """The same function of raw rows, as arrays, and a head of it as last layer.

        Parameters
        ----------
        means, scales : ndarray (n_features,)
        head : ndarray (n_out + 1, n_outputs) or None
            None for the features themselves.
        """
        if head is None:  # the last layer of a network is affine
            head = np.eye(self.n_out + 1, self.n_out, dtype=np.float32)
        matrices = [to_array(W) for W in self.layers] + [head]
        layers = (Layer(W[:-1].copy(), W[-1].copy()) for W in matrices)
        return Network(means, scales, tuple(layers), self.activation)

    @torch.no_grad()
    def take(self, network):
        """Go on from the weights of a network that `network` gave."""
        for W, layer in zip(self.layers, network.layers, strict=False):
            W[:-1] = torch.tensor(layer.weights)
            W[-1] = torch.tensor(layer.biases)


def drawn(n_in, n_out, generator):
    """A layer (n_in + 1, n_out), uniform within 1 / sqrt(n_in)."""
    bound = n_in**-0.5
    layer = torch.empty(n_in + 1, n_out)
    return layer.uniform_(-bound, bound, generator=generator)


def batched(body):
    """All tasks at once, by products of stacks of matrices; of a `Perceptron`."""

    def forward(params, X):
        return perceptron.hidden(body.activation, list(params.values()), X)

    return forward


def grouped(body):
    """All tasks at once, each a group of the channels of its convolutions."""
    return body.of_tasks


def vmapped(body):
    """All tasks at once, by `torch.func.vmap`."""

    def of_one(params, X):
        return functional_call(body, params, (X,))

    return vmap(of_one)


def looped(body):
    """One task after another."""

    def forward(params, X):
        # Taken apart at once: gradients of a single entry are of the size of all.
        own = [p.unbind() for p in params.values()]
        return torch.stack(
            [
                functional_call(body, dict(zip(params, values, strict=True)), (rows,))
                for rows, *values in zip(X.unbind(), *own, strict=True)
            ]
        )

    return forward


ENGINES = {
    "batched": batched,
    "grouped": grouped,
    "vmap": vmapped,
    "loop": looped,
}

# Tasks that an engine is fastest with: images of more leave the caches.
AT_ONCE = {"grouped": 4}


def shared(body):
    """With the same weights for all tasks: their rows at once."""

    def forward(params, X):
        Z = functional_call(body, params, (X.flatten(0, 1),))
        return Z.unflatten(0, X.shape[:2])

    return forward


def fastest(body, X):
    """The name of the engine that suits an encoder.

    Parameters
    ----------
    body : nn.Module
    X : tensor (n_rows, ...)
        A few rows to try `vmap` on.
    """
    if isinstance(body, Perceptron):
        return "batched"
    if isinstance(body, GROUPED):
        return "grouped"
    if any(isinstance(module, LOOPED) for module in body.modules()):
        return "loop"
    params = {
        name: p.detach().expand(2, *p.shape).requires_grad_()
        for name, p in body.named_parameters()
    }
    X = X[:2].expand(2, *X[:2].shape)
    try:
        # To the second order, as it will be used.
        Z = vmapped(body)(params, X)
        first = torch.autograd.grad(
            Z.square().sum(), list(params.values()), create_graph=True
        )
        sum(g.sum() for g in first).backward()
        return "vmap"
    except (RuntimeError, ValueError, NotImplementedError):  # what vmap refuses with
        return "loop"


def check_independent(body, name="encoder"):
    """Raise where an encoder makes rows depend on those beside them."""
    for path, module in body.named_modules():
        if isinstance(module, _BatchNorm):
            raise ValueError(
                f"The {name} has {type(module).__name__} ({path or 'itself'}), which "
                "normalises a row by the rows beside it: a query's prediction would "
                "depend on the other queries, and running means would mix tasks. Put "
                "nn.GroupNorm or nn.LayerNorm in its place."
            )
