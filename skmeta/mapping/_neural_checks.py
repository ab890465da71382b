"""What a neural mapper is given, held against what it can do."""

import math
from numbers import Real

import numpy as np

from skmeta.core.convnet import ConvNetwork
from skmeta.core.network import Network
from skmeta.exceptions import RankWarning, warn
from skmeta.views import Views
from skmeta.views._target import read_classes, read_numbers

# Losses that compare rows with y, and what they make of the estimator.
REGRESSION, CLASSIFICATION = "mse", "cross_entropy"


def terms_of(nn, loss, alignment):
    """The loss, and what is added to it, as terms of an objective."""
    name = loss if isinstance(loss, str) else "callable"
    terms = [nn.Term(name, nn.get_loss(loss))]
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
        if not (isinstance(weight, Real) and 0 <= weight < math.inf):
            raise ValueError(
                f"Weights of alignment= are finite numbers from 0 on; got {weight!r} "
                f"for {name!r}."
            )
        if weight:
            terms.append(nn.Term(name, nn.LOSSES[name], float(weight)))
    return tuple(terms)


def target_kind(mapper, terms, X):
    """What y has to be: "numbers", "labels" or None.

    A target takes the y slot, so that views have to come otherwise.
    """
    losses = {term.loss.kind: term.name for term in terms}
    kind = "numbers" if mapper.loss == REGRESSION else None
    if "labels" in losses or mapper.loss == CLASSIFICATION:
        if kind == "numbers":
            raise ValueError(
                f"loss={mapper.loss!r} is against numbers and {losses['labels']!r} "
                "against labels; y can only be one of them."
            )
        kind = "labels"
    if kind and mapper.views is None and not isinstance(X, Views):
        raise ValueError(
            f"loss={mapper.loss!r} is against y, and without views= an array y is the "
            "second view. Say by views= which columns of X are which view, or pass X "
            "as a Views."
        )
    if "target" in losses and mapper.fusion == "posterior":
        raise ValueError(
            f"With loss={mapper.loss!r} the head is trained on the fused coordinates, "
            "and those of fusion='posterior' are only known afterwards; choose "
            "'concat', 'mean' or a view."
        )
    return kind


def read_target(mapper, kind, y, classes, scaling):
    """The target of a kind; ``classes`` and ``scaling`` are those known beforehand."""
    name = f"{type(mapper).__name__} with loss={mapper.loss!r}"
    if kind == "labels":
        return read_classes(y, name, None if classes is None else np.unique(classes))
    if kind == "numbers":
        standardize = mapper.standardize is not False and mapper.head == "linear"
        return read_numbers(y, name, standardize=standardize, scaling=scaling)
    return None


def check_presence(names, masks):
    """Each view is there in some row, and two rows have two views."""
    for name, mask in zip(names, masks, strict=True):
        if not mask.any():
            raise ValueError(
                f"No row has view {name!r}, so that there is nothing to train its "
                "encoder on; leave the view out."
            )
    n_paired = int((np.sum(masks, axis=0) > 1).sum())
    if n_paired < 2:
        raise ValueError(
            f"{n_paired} row(s) have two of the views {list(names)}; it takes two such "
            "rows or more to learn how the views belong together."
        )


def check_by_view(mapper, nn, names, shapes):
    """Encoders and augmentations are of views that are there, and fit them."""
    for parameter in ("encoders", "augment"):
        given = getattr(mapper, parameter)
        if unknown := [n for n in given or {} if n not in names]:
            raise ValueError(
                f"{parameter}= names view {unknown[0]!r}; the views are {list(names)}."
            )
    for name, encoder in (mapper.encoders or {}).items():
        nn.check_encoder(encoder, f"encoders[{name!r}]", shapes.get(name))


def check_outputs(mapper, target, n_views):
    """Without a head the coordinates are as many as the target has columns."""
    width = mapper.n_components * (n_views if mapper.fusion == "concat" else 1)
    if mapper.head is None and width != target.n_outputs:
        what = "columns of y" if target.classes is None else "classes"
        raise ValueError(
            f"With head=None the {width} fused coordinates are compared with the "
            f"target, which has {target.n_outputs} {what}; choose n_components to "
            "match, or head='linear'."
        )


def check_batches(mapper, terms, n):
    """A loss that whitens needs more rows in a batch than components."""
    k = mapper.n_components
    if not any(term.loss.whitened for term in terms):
        return
    if n <= k:
        raise ValueError(
            f"With loss={mapper.loss!r} a batch must have more rows than components, "
            f"or every correlation in it is 1; got {n} rows and {k} components. Raise "
            "batch_size, or choose loss='cca_ey', which is made for small batches."
        )
    if n < 4 * k:
        warn(
            f"A batch of {n} rows says little about {k} components: their "
            "correlations in it are near 1 whatever the rows are. Take at least "
            f"{4 * k} rows, or loss='cca_ey'.",
            RankWarning,
        )


def check_goes_on(mapper, hidden, terms, target, previous):
    """What an earlier fit has learned has a place in what is to be trained."""
    networks, learned, head = previous
    encoders = mapper.encoders or {}
    pairs = {
        f"encoder of view {name!r}": (
            _described(network),
            _wanted(mapper, hidden, encoders.get(name, "mlp")),
        )
        for name, network in networks.items()
    }
    if terms[0].loss.kind == "target" or head is not None:
        pairs["loss against y"] = mapper._trained_for[0], mapper._target_loss
    if terms[0].loss.kind == "target":
        pairs["head"] = (
            None if head is None else (mapper._trained_for[1], len(head[1])),
            mapper.head and (mapper.fusion, target.n_outputs),
        )
        if target.classes is not None:
            known = getattr(mapper, "classes_", np.empty(0))
            pairs["classes"] = known.tolist(), target.classes.tolist()
    for term in terms:
        if term.loss.learnable and term.name not in learned:
            pairs["loss with learned scalars"] = sorted(learned), [term.name]
    for what, (known, wanted) in pairs.items():
        if known != wanted:
            raise ValueError(
                f"The fit would go on from one that differs in {what}: {known} then, "
                f"{wanted} now. Give what was given then, or start anew by fit with "
                "warm_start=False."
            )


def _described(network):
    """An encoder that was trained, in words."""
    if isinstance(network, ConvNetwork):
        return network.kind
    if not isinstance(network, Network):
        return "a module"
    hidden = network.layers[:-1]
    return _perceptron(
        [len(layer.biases) for layer in hidden],
        network.activation,
        any(layer.gain is not None for layer in hidden),
    )


def _wanted(mapper, hidden, encoder):
    """An encoder that is asked for, in the same words."""
    if encoder == "mlp":
        return _perceptron(list(hidden), mapper.activation, mapper.layer_norm)
    return encoder if isinstance(encoder, str) else "a module"


def _perceptron(hidden, activation, layer_norm):
    if not hidden:
        return "a linear map"
    norm = ", normalised" if layer_norm else ""
    return f"{hidden} hidden units, {activation}{norm}"


def same_inputs(mapper, reader):
    """Means and scales of the columns, of a mapper whose fit is gone on with."""
    known = mapper._reader
    found = reader.names, reader.n_features, reader.shapes, mapper.n_components
    expected = known.names, known.n_features, known.shapes, mapper._n_components
    if found != expected:
        raise ValueError(
            "The fit would go on from weights of other views, columns or components: "
            f"{known.n_features} and {mapper._n_components} components beside "
            f"{reader.n_features} and {mapper.n_components} components. Give what was "
            "given then, or start anew by fit with warm_start=False."
        )
    return [
        tuple(
            np.repeat(a, known.n_features[name] // len(a))
            for a in (mapper.encoders_[name].means, mapper.encoders_[name].scales)
        )
        for name in reader.names
    ]
