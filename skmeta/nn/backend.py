"""What estimators ask of torch: numpy arrays in, a trained space out."""

from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from skmeta.nn.augment import augmented, get_augmentation
from skmeta.nn.checkpoint import checkpoint_of
from skmeta.nn.class_batches import ClassBatches
from skmeta.nn.convolution import Conv4, ResNet
from skmeta.nn.data import Data, Table, identical_rows
from skmeta.nn.encoders import (
    GLOBAL_GENERATOR,
    MLP,
    Dropout,
    Foreign,
    foreign_forward,
    linear,
)
from skmeta.nn.losses import LOSSES, get_loss
from skmeta.nn.metric import MetricSpace, episode_score
from skmeta.nn.metric import objective as metric_objective
from skmeta.nn.metric_heads import (
    MetricHead,
    read_relation,
    read_weights,
    take_weights,
)
from skmeta.nn.objective import Space, Term, objective, validation_score
from skmeta.nn.training import Plan, Remedies, resolve_device, train

__all__ = [
    "LOSSES",
    "ClassBatches",
    "MetricHead",
    "MetricSpace",
    "Plan",
    "Remedies",
    "Term",
    "Table",
    "check_encoder",
    "checkpoint_of",
    "episode_score",
    "foreign_forward",
    "get_augmentation",
    "get_loss",
    "global_generators",
    "identical_rows",
    "make_data",
    "make_encoder",
    "make_space",
    "metric_objective",
    "nothing",
    "objective",
    "place",
    "read_encoder",
    "read_relation",
    "read_space",
    "read_weights",
    "resolve_device",
    "start_from",
    "take_weights",
    "torch_generator",
    "torch_randomness",
    "train",
    "validation_score",
]

IMAGE_ENCODERS = {"conv4": Conv4, "resnet": ResNet}

ENCODERS = ("mlp", *IMAGE_ENCODERS)


def check_encoder(encoder, parameter, shape):
    """Raise where what a parameter names can encode no such entries."""
    if isinstance(encoder, nn.Module) or callable(encoder):
        return
    if encoder not in ENCODERS:
        raise ValueError(
            f"{parameter}={encoder!r} is unknown; choose one of {list(ENCODERS)}, a "
            "torch.nn.Module, or a function without arguments that makes one."
        )
    if encoder in IMAGE_ENCODERS and (shape is None or len(shape) != 3):
        found = "rows of numbers" if shape is None else f"entries of shape {shape}"
        raise ValueError(
            f"{parameter}={encoder!r} takes images, an array of shape "
            f"(n_rows, channels, height, width); what it is to encode has {found}."
        )


def make_space(
    views,
    encoders,
    n_components,
    hidden,
    terms,
    *,
    generator,
    head=None,
    fusion="concat",
    augment=None,
    activation,
    dropout,
    layer_norm,
):
    """An untrained encoder for each view.

    Parameters
    ----------
    views : dict of str to (int, tuple or None)
        Of each view: number of columns, and shape of an entry where it has one.
    encoders : dict of str to encoder
        Those that are not "mlp".
    n_components : int
    hidden : tuple of int
        Widths of the hidden layers of "mlp".
    terms : sequence of Term
    generator : torch.Generator
        For initial weights, dropout and augmentation.
    head : int or None
        Outputs of a linear head.
    fusion : {"concat", "mean"} or int
        What the head takes; a number is that of a view.
    augment : dict of str to callable or None
        Of each view that is changed at random while it is trained on.
    activation, dropout, layer_norm
        Of "mlp"; dropout of the others as well.
    """
    made = [
        make_encoder(
            encoders.get(view, "mlp"),
            view,
            width,
            shape,
            n_components,
            hidden,
            generator=generator,
            activation=activation,
            dropout=dropout,
            layer_norm=layer_norm,
        )
        for view, (width, shape) in views.items()
    ]
    if head is not None:
        width = n_components * (len(views) if fusion == "concat" else 1)
        head = linear(width, head, generator)
    change = None
    if augment:
        change = _augmentation({v: augment.get(v) for v in views}, generator)
    return Space(made, n_components, terms, head=head, fusion=fusion, augment=change)


def make_encoder(
    encoder,
    view,
    width,
    shape,
    n_components,
    hidden,
    *,
    generator,
    activation,
    dropout,
    layer_norm,
    skip=False,
    filters=None,
):
    """An untrained encoder of entries of ``width`` numbers, or of a shape.

    ``skip`` is whether "mlp" begins as the rows themselves, ``filters`` the filters of
    the first convolution of an encoder of images.
    """
    if encoder == "mlp":
        return MLP(
            width,
            hidden,
            n_components,
            activation=activation,
            dropout=dropout,
            layer_norm=layer_norm,
            generator=generator,
            skip=skip,
        )
    if isinstance(encoder, str):
        kind = IMAGE_ENCODERS[encoder]
        wide = {} if filters is None else {"width": filters}
        return kind(shape, n_components, dropout=dropout, generator=generator, **wide)
    return Foreign(encoder, view, n_components)


def nothing():
    """An encoder that leaves rows as they are: a head alone is trained."""
    return nn.Flatten()


def read_encoder(encoder, means, scales, shape):
    """An encoder as numpy; ``means`` and ``scales`` (n_features,) standardise rows."""
    if isinstance(encoder, Foreign):
        return encoder.network(means, scales, shape)
    if isinstance(encoder, MLP):
        return encoder.network(means, scales)
    channels = [a.reshape(shape[0], -1)[:, 0].copy() for a in (means, scales)]
    return encoder.network(*channels)


def _augmentation(functions, generator):
    def change(inputs):
        return [
            X
            if function is None or len(X) == 0
            else augmented(f"augment[{view!r}]", function, X, generator)
            for (view, function), X in zip(functions.items(), inputs, strict=True)
        ]

    return change


def global_generators(encoders, device):
    """Generators that modules of the user's draw from."""
    if not _are_foreign(encoders):
        return []
    found = [torch.default_generator]
    if device.type == "cuda":
        found.append(torch.cuda.default_generators[device.index or 0])
    return found


def _are_foreign(encoders):
    return any(not isinstance(encoder, str) for encoder in encoders.values())


def torch_generator(seed, device="cpu"):
    """A generator of torch's."""
    return torch.Generator(device).manual_seed(seed)


def place(space, device, seed):
    """Move a space to a device, where its dropout draws from then on."""
    space.to(device)
    if device.type != "cpu":
        generator = torch_generator(seed, device)
        for module in space.modules():
            if isinstance(module, Dropout):
                module.generator = generator
    return space


@contextmanager
def torch_randomness(seed, device, encoders):
    """Seed the global generator, which modules of users draw from, and put it back.

    Where all encoders are built in, it is not touched. It is one for all threads: fits
    that draw from it wait for each other.
    """
    if not _are_foreign(encoders):
        yield
        return
    devices = [device] if device.type == "cuda" else []
    with GLOBAL_GENERATOR, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def read_space(space, names, inputs, shapes):
    """Encoders, learned scalars and head of a space, as numpy.

    Returns
    -------
    networks : dict of view to network
    learned : dict of loss to dict of float
    head : tuple of ndarray or None
        Coefficients (n_outputs, n_fused) and intercepts (n_outputs,).
    """
    networks = {
        name: read_encoder(encoder, *scaling, shapes.get(name))
        for name, encoder, scaling in zip(names, space.encoders, inputs, strict=True)
    }
    learned = {
        loss: {name: value.item() for name, value in scalars.items()}
        for loss, scalars in space.learned.items()
    }
    head = None
    if space.head is not None:
        weights, biases = space.head.weight, space.head.bias
        head = tuple(p.detach().cpu().double().numpy() for p in (weights, biases))
    return networks, learned, head


def start_from(space, names, networks, learned, head):
    """Give a space the weights that `read_space` read of another."""
    with torch.no_grad():
        for name, encoder in zip(names, space.encoders, strict=True):
            encoder.take(networks[name])
        for loss, scalars in space.learned.items():
            for name, parameter in scalars.items():
                parameter.fill_(learned[loss][name])
        if space.head is not None:
            space.head.weight.copy_(torch.from_numpy(head[0]))
            space.head.bias.copy_(torch.from_numpy(head[1]))


def make_data(arrays, inputs, masks, ids, device, *, shapes=None, target=None):
    """Training rows as tensors; ``inputs`` are means and scales of each view."""
    shapes = shapes or [None] * len(arrays)
    tables = [
        Table(array, mask, means, scales, device, shape)
        for array, mask, (means, scales), shape in zip(
            arrays, masks, inputs, shapes, strict=True
        )
    ]
    present = [None if mask.all() else torch.from_numpy(mask) for mask in masks]
    groups = [
        None if same is None else torch.from_numpy(np.asarray(same)) for same in ids
    ]
    target = None if target is None else torch.from_numpy(target)
    return Data(tables, present, groups, target, device)
