"""Encoders of one view: what is trained in torch, and what it becomes in numpy."""

import math

import torch
from torch import nn

from skmeta.core.network import NORM_EPS, Layer, Network

ACTIVATIONS = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


class Dropout(nn.Module):
    """Dropout that draws from a generator of its own, never from the global one."""

    def __init__(self, share, generator):
        super().__init__()
        self.share, self.generator = share, generator

    def forward(self, H):
        """Zero a share of the entries while training."""
        if not self.training or self.share == 0:
            return H
        # Drawn on the host: the same mask on every device.
        keep = torch.empty(H.shape).bernoulli_(1 - self.share, generator=self.generator)
        return H * keep.to(H.device, H.dtype) / (1 - self.share)


class MLP(nn.Module):
    """A multilayer perceptron, drawn from a generator.

    Weights start as those of `torch.nn.Linear`: uniform within 1 / sqrt(n_in).
    """

    def __init__(
        self, n_in, hidden, n_out, *, activation, dropout, layer_norm, generator
    ):
        super().__init__()
        self.activation = activation
        widths = [n_in, *hidden, n_out]
        self.linear = nn.ModuleList(
            _linear(a, b, generator) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, eps=NORM_EPS) if layer_norm else nn.Identity()
            for width in hidden
        )
        self.act = ACTIVATIONS[activation]()
        self.dropout = Dropout(dropout, generator)

    def forward(self, X):
        """Encodings (n_rows, n_out) of standardised rows."""
        for linear, norm in zip(self.linear, self.norms, strict=False):
            X = self.dropout(self.act(norm(linear(X))))
        return self.linear[-1](X)

    def network(self, means, scales):
        """The same function of raw rows, as arrays."""
        layers = []
        for i, linear in enumerate(self.linear):
            norm = self.norms[i] if i < len(self.norms) else None
            norm = None if isinstance(norm, nn.Identity) else norm
            layers.append(
                Layer(
                    _array(linear.weight.T),
                    _array(linear.bias),
                    None if norm is None else _array(norm.weight),
                    None if norm is None else _array(norm.bias),
                )
            )
        return Network(means, scales, tuple(layers), self.activation)

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


def _array(parameter):
    return parameter.detach().to("cpu", torch.float32).contiguous().numpy().copy()


def _linear(n_in, n_out, generator):
    # skip_init: a layer that torch starts itself draws from the global generator.
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
    bound = 1 / math.sqrt(n_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer
