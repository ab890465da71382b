"""What estimators of model-agnostic meta-learning ask of torch: numpy in and out."""

import numpy as np
import torch

from skmeta.core.network import Layer, Network, standardised
from skmeta.nn import engines
from skmeta.nn.backend import read_encoder
from skmeta.nn.bayes import BayesianLearner
from skmeta.nn.convolution import Conv4, ResNet
from skmeta.nn.encoders import ForeignNetwork, build
from skmeta.nn.engines import Perceptron
from skmeta.nn.episodes import Drawn, EpisodeData
from skmeta.nn.heads import make_head
from skmeta.nn.meta import HEAD, Learner
from skmeta.nn.meta_training import adapt, meta_train
from skmeta.nn.tasks import LOSSES, Rows

__all__ = [
    "EpisodeData",
    "adapted",
    "as_tensor",
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
    body = build(recipe.encoder, "X")
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
    learner.load_state_dict({k: torch.from_numpy(a.copy()) for k, a in arrays.items()})
    return learner.eval()


def state(learner):
    """The weights of a learner, as numpy."""
    return {k: v.detach().cpu().numpy().copy() for k, v in learner.state_dict().items()}


def read(learner, params, inputs, recipe, task=0):
    """The adapted encoder of one task and its head, as numpy.

    Returns
    -------
    network : network of features
    head : ndarray (n_features + 1, n_outputs)
    """
    body = learner.body if params is None else learner.body_of(params, task)
    means, scales = inputs
    if isinstance(body, Perceptron):
        layers = [layer.detach().cpu().numpy() for layer in body.layers]
        # The hidden layers alone: an identity after the last makes them a network.
        eye = np.eye(layers[-1].shape[1], dtype=np.float32)
        zero = np.zeros(len(eye), np.float32)
        layers = [Layer(a[:-1].copy(), a[-1].copy()) for a in layers]
        network = Network(means, scales, (*layers, Layer(eye, zero)), recipe.activation)
    elif isinstance(recipe.encoder, str):
        network = read_encoder(body, means, scales, recipe.shape)
    else:
        arrays = {k: v.cpu().numpy().copy() for k, v in body.state_dict().items()}
        n_out = (learner.head.rate_shape[0] if params else len(learner.log_scale)) - 1
        network = ForeignNetwork(
            recipe.encoder, "X", n_out, means, scales, recipe.shape, arrays
        )
    if params is None:
        return network, None
    head = params[HEAD]
    head = head[task] if head.ndim == 3 else head
    return network, head.detach().cpu().double().numpy()


def as_tensor(X, inputs, shape, device):
    """Rows (n_rows, ...) as a tensor of float32; ``inputs`` standardise them."""
    rows = X.astype(np.float32) if inputs is None else standardised(X, *inputs)
    rows = torch.from_numpy(np.ascontiguousarray(rows)).to(device)
    return rows if shape is None else rows.unflatten(1, shape)


def support_rows(X, y, classes=None):
    """`Rows` of one task: of labels, each class weighing the same, or of numbers.

    Parameters
    ----------
    X : tensor (n_rows, ...)
    y : ndarray (n_rows,) of codes, or (n_rows, n_outputs)
    classes : int or None
        Number of classes.
    """
    if classes is None:
        weights = torch.full((1, len(X)), 1.0 / len(X))
        return Rows(X[None], torch.from_numpy(y).to(X)[None], weights.to(X))
    counts = np.bincount(y, minlength=classes)
    weights = torch.from_numpy(1.0 / (classes * counts[y])).to(X)[None]
    return Rows(X[None], torch.from_numpy(y).to(X.device)[None], weights)


def adapted(learner, rows, n_outputs, n_steps):
    """Parameters of tasks after some steps on their support."""
    return adapt(learner, rows, n_outputs, n_steps)


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
