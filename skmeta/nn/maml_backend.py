"""What estimators of model-agnostic meta-learning ask of torch: numpy in and out."""

import numpy as np
import torch

from skmeta.core.episodes import NONE
from skmeta.core.network import standardised
from skmeta.nn import engines
from skmeta.nn.backend import read_encoder
from skmeta.nn.bayes import BayesianLearner
from skmeta.nn.checkpoint import to_array, to_tensors
from skmeta.nn.convolution import Conv4, ResNet
from skmeta.nn.encoders import ForeignNetwork, build
from skmeta.nn.engines import Perceptron
from skmeta.nn.episodes import Drawn, EpisodeData
from skmeta.nn.heads import make_head
from skmeta.nn.meta import HEAD, Learner
from skmeta.nn.meta_training import adapt, meta_train
from skmeta.nn.tasks import LOSSES, Rows, balanced_weights, equal_weights

__all__ = [
    "EpisodeData",
    "adapt",
    "as_tensor",
    "episode_logits",
    "episode_score",
    "episode_tasks",
    "make_learner",
    "meta_train",
    "query_outputs",
    "read",
    "state",
    "support_rows",
    "take",
]

IMAGE_BODIES = {"conv4": Conv4, "resnet": ResNet}


def make_learner(recipe, generator):
    """An untrained learner of a `Recipe` of `skmeta.few_shot`."""
    body, n_features = _body(recipe, generator)
    if recipe.algorithm == "ridge":
        return BayesianLearner(body, n_features, recipe.n_outputs, generator=generator)
    head = make_head(recipe.head, n_features, recipe.n_outputs, generator=generator)
    loss = LOSSES["cross_entropy" if recipe.n_outputs is None else "squared_error"]
    example = torch.zeros(2, *(recipe.shape or (recipe.n_in,)))
    return Learner(
        body,
        head,
        loss,
        recipe.algorithm,
        inner_lr=recipe.inner_lr,
        n_inner_steps=recipe.n_inner_steps,
        engine=engines.fastest(body, example),
    )


def _body(recipe, generator):
    if recipe.encoder == "mlp":
        body = Perceptron(
            recipe.n_in,
            recipe.hidden,
            activation=recipe.activation,
            generator=generator,
        )
        return body, body.n_out
    if isinstance(recipe.encoder, str):
        wide = {} if recipe.n_filters is None else {"width": recipe.n_filters}
        body = IMAGE_BODIES[recipe.encoder](
            recipe.shape,
            recipe.n_components,
            generator=generator,
            norm="group",
            **wide,
        )
        return body, recipe.n_components
    body = build(recipe.encoder, None)
    engines.check_independent(body)
    with torch.no_grad():
        Z = body.eval()(torch.zeros(2, *(recipe.shape or (recipe.n_in,))))
    if Z.ndim != 2 or len(Z) != 2:
        raise ValueError(
            f"The encoder made {tuple(Z.shape)} of a batch of 2 rows; one row of "
            "features for each is needed. End it with nn.Flatten."
        )
    return body, Z.shape[1]


def take(learner, arrays):
    """Give a learner the weights that `state` read."""
    learner.load_state_dict(to_tensors(arrays))
    return learner.eval()


def state(learner):
    """The weights of a learner, as numpy."""
    return {name: to_array(value) for name, value in learner.state_dict().items()}


def read(learner, params, inputs, recipe):
    """The encoder of the first task, adapted, and its head, as numpy.

    Parameters
    ----------
    learner : Learner or BayesianLearner
    params : dict of str to tensor, or None
        Of tasks; None is the learner's own encoder, and no head.
    inputs : tuple of ndarray (n_features,)
        Means and scales that standardise rows.
    recipe : Recipe

    Returns
    -------
    network : network of features
    head : ndarray (n_features + 1, n_outputs) or None
    """
    body = learner.body if params is None else learner.body_of(params, 0)
    means, scales = inputs
    if isinstance(body, Perceptron):
        network = body.network(means, scales)
    elif isinstance(recipe.encoder, str):
        network = read_encoder(body, means, scales, recipe.shape)
    else:
        arrays = {name: to_array(value) for name, value in body.state_dict().items()}
        network = ForeignNetwork(
            recipe.encoder,
            None,
            learner.n_features,
            means,
            scales,
            recipe.shape,
            arrays,
        )
    if params is None:
        return network, None
    head = params[HEAD]
    return network, to_array(head[0] if head.ndim == 3 else head).astype(float)


def as_tensor(X, inputs, shape, device):
    """Rows (n_rows, ...) as a tensor of float32; ``inputs`` standardise them."""
    rows = X.astype(np.float32) if inputs is None else standardised(X, *inputs)
    rows = torch.from_numpy(np.ascontiguousarray(rows)).to(device)
    return rows if shape is None else rows.unflatten(1, shape)


def support_rows(X, y, n_classes=None):
    """`Rows` of one task: of labels, each class weighing the same, or of numbers.

    Parameters
    ----------
    X : tensor (n_rows, ...)
    y : ndarray (n_rows,) of codes, or (n_rows, n_outputs)
    n_classes : int or None
    """
    X, y = X[None], torch.from_numpy(y).to(X.device)[None]
    present = torch.ones(1, X.shape[1], device=X.device)
    if n_classes is None:
        return Rows(X, y, equal_weights(present))
    return Rows(X, y, balanced_weights(y, present.bool(), n_classes))


def episode_tasks(X, y, episodes):
    """`Tasks` of episodes drawn by `skmeta.core.episodes`, all at once."""
    drawn = Drawn.of(episodes, y is not None, X.device, X.dtype)
    return drawn.tasks(X, y, 0, len(episodes.classes))


@torch.no_grad()
def query_outputs(learner, tasks, n_steps):
    """Outputs (n_tasks, n_rows, n_outputs) of the query after some steps."""
    if isinstance(learner, BayesianLearner):
        return learner.predict(tasks.support, tasks.query.X)[0]
    params = adapt(learner, tasks.support, tasks.n_outputs, n_steps)
    Z = learner.outputs(params, tasks.query.X)
    if tasks.query.absent is not None:
        Z = Z.masked_fill(tasks.query.absent.unsqueeze(1), -torch.inf)
    return Z


def episode_score(X, y, parts, n_steps):
    """``learner -> accuracy``, or minus the squared error, of some episodes."""
    tasks = [episode_tasks(X, y, episodes) for episodes in parts]

    def score(learner):
        values, weights = 0.0, 0.0
        for some in tasks:
            try:
                Z = query_outputs(learner, some, n_steps)
            except FloatingPointError:
                return -np.inf
            rows = some.query
            if y is None:
                right = (Z.argmax(dim=2) == rows.y).double()
            else:
                right = -(Z - rows.y).double().square().mean(dim=2)
            there = (rows.weights > 0).double()
            values += float((right * there).sum())
            weights += float(there.sum())
        return values / max(weights, 1.0)

    return score


def episode_logits(learner, X, parts, n_steps):
    """Logits and codes of the queries of each of some episodes that do not diverge.

    Returns
    -------
    list of tuple of ndarray
        ``(n_queries, n_classes)`` and ``(n_queries,)``.
    """
    found = []
    for episodes in parts:
        tasks = episode_tasks(X, None, episodes)
        try:
            Z = query_outputs(learner, tasks, n_steps).double().cpu().numpy()
        except FloatingPointError:
            continue
        codes = tasks.query.y.cpu().numpy()
        asked = (tasks.query.weights > 0).cpu().numpy()
        n_classes = (episodes.classes != NONE).sum(axis=1)
        for logits, own, there, n in zip(Z, codes, asked, n_classes, strict=True):
            found.append((logits[there, :n], own[there]))
    return found
