"""Encoders of small images: convolutional networks that train on a CPU."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from skmeta.core.convnet import (
    MIN_SIDE_TO_POOL,
    NORM_EPS,
    ConvNetwork,
    conv4_pools,
    n_groups,
    resnet_cells,
)
from skmeta.nn.encoders import Dropout, linear

MIN_SIDE = 4


class Conv4(nn.Module):
    """Four convolutions, each normalised, rectified and pooled.

    The encoder of few-shot learning (Vinyals et al. 2016; Snell et al. 2017), and a
    linear layer. Images of a side under 16 are pooled as often as they can be halved.

    Parameters
    ----------
    shape : tuple of int
        Channels, height and width of an image.
    n_out : int
    dropout : float, default=0.0
        Share of the features that the linear layer does not see while training.
    generator : torch.Generator
        For the initial weights and dropout.
    width : int, default=64
        Filters a convolution.
    norm : {"batch", "group"}, default="batch"
        How filters are normalised: over the images of a batch, or over groups of
        filters within each image.
    """

    def __init__(self, shape, n_out, *, dropout=0.0, generator, width=64, norm="batch"):
        super().__init__()
        self.shape = _checked(shape, "conv4")
        self.pools = conv4_pools(self.shape)
        self.blocks = nn.ModuleList(
            Convolution(n_in, width, generator, norm=norm)
            for n_in in (self.shape[0], width, width, width)
        )
        self.dropout = Dropout(dropout, generator)
        # Flattened, as in the papers: what remains of the largest images is 6 by 6, and
        # an average over it would lose where in the image a feature stands.
        n_halvings = sum(self.pools)
        grid = (self.shape[1] >> n_halvings) * (self.shape[2] >> n_halvings)
        self.linear = linear(width * grid, n_out, generator)
        self.to(memory_format=torch.channels_last)

    def forward(self, X):
        """Encodings (n, n_out) of standardised images (n, *shape)."""
        H = _channels_last(X)
        for block, pool in zip(self.blocks, self.pools, strict=True):
            # Maxima may be rectified as well after as before: there are fewer.
            H = F.relu(block(H, pool))
        return self.linear(self.dropout(H.flatten(1)))

    def of_tasks(self, params, X):
        """Encodings (n_tasks, n, n_out), each task's by parameters of its own.

        Tasks are groups of the channels of each convolution; ``norm="group"`` only.
        """
        H = _as_groups(X)
        for i, pool in enumerate(self.pools):
            H = F.relu(self.blocks[i].of_tasks(params, f"blocks.{i}.", H, len(X), pool))
        H = H.flatten(1).unflatten(1, (len(X), -1))
        return _linear_of_tasks(params, H)

    def network(self, means, scales):
        """The same function of raw images, as arrays; one mean and scale a channel."""
        return _network("conv4", self, means, scales)

    def take(self, network):
        """Go on from the weights of a network of the same shape."""
        _take(self, network)


class ResNet(nn.Module):
    """A small residual network (He et al. 2016).

    One convolution, pooled where images are not tiny, then three blocks of two
    convolutions, each after the first at half the sides and more filters; averages over
    up to 4 by 4 cells of the image, and a linear layer.

    Parameters
    ----------
    shape : tuple of int
        Channels, height and width of an image.
    n_out : int
    dropout : float, default=0.0
        Share of the features that the linear layer does not see while training.
    generator : torch.Generator
        For the initial weights and dropout.
    width : int, default=32
        Filters a convolution of the first block; the others have two and four times
        as many.
    norm : {"batch", "group"}, default="batch"
        How filters are normalised: over the images of a batch, or over groups of
        filters within each image.
    """

    def __init__(self, shape, n_out, *, dropout=0.0, generator, width=32, norm="batch"):
        super().__init__()
        self.shape = _checked(shape, "resnet")
        self.pool = min(self.shape[1:]) >= MIN_SIDE_TO_POOL
        self.stem = Convolution(self.shape[0], width, generator, norm=norm)
        self.blocks = nn.ModuleList(
            [
                Residual(width, width, generator, norm=norm),
                Residual(width, 2 * width, generator, norm=norm),
                Residual(2 * width, 4 * width, generator, norm=norm),
            ]
        )
        self.dropout = Dropout(dropout, generator)
        cells = resnet_cells(self.shape)
        n_cells = len(cells[0]) * len(cells[1])
        # Averages by products, which are deterministic on every device.
        for side, weights in zip(("height", "width"), cells, strict=True):
            self.register_buffer(
                f"along_{side}", torch.from_numpy(weights), persistent=False
            )
        self.linear = linear(4 * width * n_cells, n_out, generator)
        self.to(memory_format=torch.channels_last)

    def forward(self, X):
        """Encodings (n, n_out) of standardised images (n, *shape)."""
        H = F.relu(self.stem(_channels_last(X), self.pool))
        for block in self.blocks:
            H = block(H)
        return self.linear(self.dropout(self._cells(H).flatten(1)))

    def _cells(self, H):
        """Averages (n, n_filters, ...) over cells of the image."""
        if H.shape[2:] == (len(self.along_height), len(self.along_width)):
            return H
        return self.along_height @ H @ self.along_width.T

    def of_tasks(self, params, X):
        """Encodings (n_tasks, n, n_out), each task's by parameters of its own.

        Tasks are groups of the channels of each convolution; ``norm="group"`` only.
        """
        H = _as_groups(X)
        H = F.relu(self.stem.of_tasks(params, "stem.", H, len(X), self.pool))
        for i, block in enumerate(self.blocks):
            H = block.of_tasks(params, f"blocks.{i}.", H, len(X))
        H = self._cells(H).flatten(1).unflatten(1, (len(X), -1))
        return _linear_of_tasks(params, H)

    def network(self, means, scales):
        """The same function of raw images, as arrays; one mean and scale a channel."""
        return _network("resnet", self, means, scales)

    def take(self, network):
        """Go on from the weights of a network of the same shape."""
        _take(self, network)


class Residual(nn.Module):
    """Two convolutions beside a shortcut; with more filters, at half the sides."""

    def __init__(self, n_in, n_filters, generator, *, norm="batch"):
        super().__init__()
        stride = 1 if n_in == n_filters else 2
        self.first = Convolution(n_in, n_filters, generator, stride=stride, norm=norm)
        self.second = Convolution(n_filters, n_filters, generator, norm=norm)
        self.shortcut = None
        if stride == 2:
            self.shortcut = Convolution(
                n_in, n_filters, generator, side=1, stride=2, norm=norm
            )

    def forward(self, H):
        """Images (n, n_filters, ...)."""
        shortcut = H if self.shortcut is None else self.shortcut(H)
        return F.relu(self.second(F.relu(self.first(H))) + shortcut)

    def of_tasks(self, params, name, H, n_tasks):
        """Images (n, n_tasks * n_filters, ...)."""
        shortcut = H
        if self.shortcut is not None:
            shortcut = self.shortcut.of_tasks(params, f"{name}shortcut.", H, n_tasks)
        H = F.relu(self.first.of_tasks(params, f"{name}first.", H, n_tasks))
        H = self.second.of_tasks(params, f"{name}second.", H, n_tasks)
        return F.relu(H + shortcut)


class Convolution(nn.Module):
    """A convolution and a normalisation, drawn as by He et al. (2015)."""

    def __init__(self, n_in, n_filters, generator, *, side=3, stride=1, norm="batch"):
        super().__init__()
        # skip_init: a layer that torch starts itself draws from the global generator.
        self.convolution = nn.utils.skip_init(
            nn.Conv2d,
            n_in,
            n_filters,
            side,
            stride=stride,
            padding=side // 2,
            bias=False,
        )
        with torch.no_grad():
            self.convolution.weight.normal_(
                0, math.sqrt(2 / (n_in * side * side)), generator=generator
            )
        self.norm = (
            nn.BatchNorm2d(n_filters, eps=NORM_EPS)
            if norm == "batch"
            else nn.GroupNorm(n_groups(n_filters), n_filters, eps=NORM_EPS)
        )

    def forward(self, X, pool=False):
        """Images (n, n_filters, ...), at half the sides where they are pooled."""
        H = self.convolution(X)
        if isinstance(self.norm, nn.GroupNorm):
            # Of pooled images there is a quarter to normalise, and to differentiate.
            return self.norm(F.max_pool2d(H, 2) if pool else H)
        H = self._batch_normalised(H)
        return F.max_pool2d(H, 2) if pool else H

    def _batch_normalised(self, H):
        if self.training and H.numel() <= H.shape[1]:
            # One value a filter has no variance: it is scaled by those seen before.
            norm = self.norm
            return F.batch_norm(
                H,
                norm.running_mean,
                norm.running_var,
                norm.weight,
                norm.bias,
                eps=norm.eps,
            )
        return self.norm(H)

    def of_tasks(self, params, name, X, n_tasks, pool=False):
        """Images (n, n_tasks * n_filters, ...) of (n, n_tasks * n_in, ...)."""
        H = F.conv2d(
            X,
            params[f"{name}convolution.weight"].flatten(0, 1),
            stride=self.convolution.stride,
            padding=self.convolution.padding,
            groups=n_tasks,
        )
        return F.group_norm(
            F.max_pool2d(H, 2) if pool else H,
            n_tasks * self.norm.num_groups,
            params[f"{name}norm.weight"].flatten(),
            params[f"{name}norm.bias"].flatten(),
            eps=self.norm.eps,
        )


def _as_groups(X):
    """Images (n, n_tasks * channels, ...), of tasks (n_tasks, n, channels, ...).

    Channels first: of many groups the grouped convolutions are then the faster ones.
    """
    return X.transpose(0, 1).flatten(1, 2)


def _linear_of_tasks(params, H):
    """The last layer, of features (n, n_tasks, n_in)."""
    biases = params["linear.bias"].unsqueeze(1)
    return torch.baddbmm(biases, H.transpose(0, 1), params["linear.weight"].mT)


def _checked(shape, name):
    shape = tuple(shape)
    if len(shape) != 3 or min(shape[1:]) < MIN_SIDE or shape[0] < 1:
        raise ValueError(
            f"The encoder {name!r} takes images of shape (channels, height, width) "
            f"with sides of at least {MIN_SIDE}; got shape {shape}. "
            "The encoder 'mlp' takes any."
        )
    return tuple(int(side) for side in shape)


def _channels_last(X):
    # A third faster than channels first, on one thread of a CPU.
    return X.contiguous(memory_format=torch.channels_last)


def _network(kind, module, means, scales):
    arrays = {
        name: value.detach().cpu().contiguous().numpy().copy()
        for name, value in module.state_dict().items()
    }
    channels = (module.shape[0],)
    return ConvNetwork(
        kind, module.shape, *(np.reshape(a, channels) for a in (means, scales)), arrays
    )


def _take(module, network):
    module.load_state_dict(
        {name: torch.tensor(array) for name, array in network.arrays.items()}
    )
