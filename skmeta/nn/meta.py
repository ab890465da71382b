"""Learning to learn: parameters from which a few steps on a new task go far.

A `Learner` is an encoder and a head (`skmeta.nn.heads`), and an algorithm says what is
learned of the steps from one to the other. It is trained by the loop of all the library
(`skmeta.nn.training.train`), each batch some tasks.

References
----------
maml, fomaml : Finn, Abbeel & Levine (2017), "Model-agnostic meta-learning for fast
    adaptation of deep networks", ICML.
anil : Raghu, Raghu, Bengio & Vinyals (2020), "Rapid learning or feature reuse?", ICLR.
reptile : Nichol, Achiam & Schulman (2018), "On first-order meta-learning algorithms".
meta_sgd : Li, Zhou, Chen & Li (2017), "Meta-SGD: learning to learn quickly for few-shot
    learning"; a rate for each step as in Antoniou, Edwards & Storkey (2019), "How to
    train your MAML", ICLR.
"""

import copy
from typing import NamedTuple

import torch
from torch import nn

from skmeta.nn import engines, inner, perceptron
from skmeta.nn.perceptron import affine

HEAD = "head"  # among the parameters of an encoder, and the last of them


class Learner(nn.Module):
    """An encoder and a head that every task starts from.

    Parameters of tasks are a dict of those of the encoder by name, and the head; with a
    first axis of tasks where each task has its own.

    Parameters
    ----------
    body : nn.Module
        The encoder: rows (n, ...) in, features (n, n_features) out.
    head : nn.Module
        One of `skmeta.nn.heads`.
    loss : Loss
    algorithm : str
        A key of `ALGORITHMS`.
    inner_lr : float
        Rate of the inner steps, or what learned rates begin with.
    n_inner_steps : int
    engine : str
        A key of `skmeta.nn.engines.ENGINES`.
    """

    def __init__(self, body, head, loss, algorithm, *, inner_lr, n_inner_steps, engine):
        super().__init__()
        self.algorithm = get_algorithm(algorithm, n_inner_steps)
        self.body, self.head, self.loss = body, head, loss
        self.inner_lr, self.n_inner_steps = float(inner_lr), n_inner_steps
        self.n_features = head.rate_shape[0] - 1
        engines.check_independent(body)
        self.shared = engines.shared(body)
        self.of_tasks = engines.ENGINES[engine](body)
        self.tasks_at_once = engines.AT_ONCE.get(engine)
        # All of it is one perceptron, whose gradients are written by hand.
        self.by_hand = engine == "batched" and loss.gradient is not None
        # To collect them by name takes as long as several products.
        self.named = dict(body.named_parameters())
        self.learned_rates = None
        if self.algorithm.learned_rates:
            shapes = [p.shape for p in body.parameters()] + [head.rate_shape]
            self.learned_rates = nn.ParameterList(
                torch.full((max(1, n_inner_steps), *shape), self.inner_lr)
                for shape in shapes
            )

    def train(self, mode=True):
        """Dropout of an encoder stays off: all steps see the same function."""
        super().train(mode)
        self.body.eval()
        return self

    # ---- parameters ------------------------------------------------------------------

    def start(self, support, n_outputs):
        """Parameters before the first step, those that tasks share without their axis.

        Parameters
        ----------
        support : Rows
        n_outputs : int
        """
        params = self.named
        H = self.shared(params, support.X) if self.head.needs_features else None
        return {**params, HEAD: self.head(support, n_outputs, H)}

    def rates(self):
        """Of each step a number, or a tensor for each parameter."""
        if self.learned_rates is None:
            return [self.inner_lr]
        names = [*self.named, HEAD]
        return [
            dict(zip(names, rates, strict=True))
            for rates in zip(*(r.unbind() for r in self.learned_rates), strict=True)
        ]

    def descend(self, params, batches, n_steps, *, second_order, rates=None):
        """Parameters of each task after some steps.

        Parameters
        ----------
        params : dict of str to tensor
            From `start`.
        batches : list of Rows
            To step on in turn, again from the first where there are more steps.
        n_steps : int
        second_order : bool
        rates : list or None
            Default those of `rates`.
        """
        rates = self.rates() if rates is None else rates
        n_tasks = len(batches[0].X)
        if self.algorithm.head_only:
            # Features do not change: all steps are those of a linear model.
            batches = [b._replace(X=self.features(params, b.X)) for b in batches]
            head = self._descend_head(
                params[HEAD], batches, rates, n_steps, second_order
            )
            return {**params, HEAD: head}
        if self.by_hand:
            rates = [r if isinstance(r, float) else list(r.values()) for r in rates]
            moved = perceptron.descend(
                self.body.activation,
                self.loss,
                list(params.values()),
                batches,
                rates,
                n_steps,
                second_order=second_order,
            )
            return dict(zip(params, moved, strict=True))

        def loss(params, step):
            return self.losses(params, batches[step % len(batches)])

        params = {k: self._of_each_task(k, p, n_tasks) for k, p in params.items()}
        return inner.descend(loss, params, rates, n_steps, second_order=second_order)

    def _descend_head(self, head, batches, rates, n_steps, second_order):
        if self.loss.gradient is not None:
            rates = [r if isinstance(r, float) else [r[HEAD]] for r in rates]
            (head,) = perceptron.descend(
                "identity",
                self.loss,
                [head],
                batches,
                rates,
                n_steps,
                second_order=second_order,
            )
            return head

        def loss(params, step):
            batch = batches[step % len(batches)]
            return self.loss.value(affine(batch.X, params[HEAD]), batch)

        params = {HEAD: self._of_each_task(HEAD, head, len(batches[0].X))}
        return inner.descend(loss, params, rates, n_steps, second_order=second_order)[
            HEAD
        ]

    def _of_each_task(self, name, param, n_tasks):
        if self._has_tasks(name, param):
            return param
        return param.expand(n_tasks, *param.shape)

    def _has_tasks(self, name, param):
        own = 2 if name == HEAD else self.named[name].ndim
        return param.ndim > own

    # ---- what they make of rows ------------------------------------------------------

    def features(self, params, X):
        """Features (n_tasks, n_rows, n_features) of rows (n_tasks, n_rows, ...)."""
        of_body = {name: p for name, p in params.items() if name != HEAD}
        if any(self._has_tasks(name, p) for name, p in of_body.items()):
            return self.of_tasks(of_body, X)
        return self.shared(of_body, X)

    def outputs(self, params, X):
        """Outputs (n_tasks, n_rows, n_outputs) of rows (n_tasks, n_rows, ...)."""
        return affine(self.features(params, X), params[HEAD])

    def losses(self, params, rows):
        """Loss of each task (n_tasks,)."""
        if self.by_hand:
            return perceptron.losses(
                self.body.activation, self.loss, list(params.values()), rows
            )
        return self.loss.value(self.outputs(params, rows.X), rows)

    def task_losses(self, tasks):
        """Losses (n_tasks,) that the algorithm lowers."""
        return self.algorithm.losses(self, tasks)

    def diverged(self, tasks):
        """What to say where training on some tasks diverged in the inner loop."""
        with torch.no_grad():
            start = self.start(tasks.support, tasks.n_outputs)
            return self.diverged_at(start, [tasks.support], self.n_inner_steps)

    @torch.no_grad()
    def diverged_at(self, params, batches, n_steps):
        """What to say of the step after which losses are not finite.

        None where all are, or where they are not before the first step.
        """
        rate = f"inner_lr={self.inner_lr:.3g}"
        if self.learned_rates is not None:
            largest = max(float(r.abs().max()) for r in self.learned_rates)
            rate = f"learned rates of up to {largest:.3g}"
        rates = self.rates()
        for step in range(n_steps + 1):
            losses = self.losses(params, batches[0])
            bad = ~losses.isfinite()
            if bad.any() or step == n_steps:
                break
            batch = batches[step % len(batches)]
            params = self.descend(
                params, [batch], 1, second_order=False, rates=rates[step:] or rates[-1:]
            )
        if step == 0 or not bad.any():
            return None
        return (
            f"The inner loop diverged at step {step} of {n_steps} with {rate}: the "
            f"support loss of {int(bad.sum())} of {len(losses)} tasks became "
            f"{float(losses[bad][0])}. Lower inner_lr, or standardise X and y; the "
            "weights are those before it."
        )

    @torch.no_grad()
    def body_of(self, params, task):
        """An encoder of its own with the parameters of one task."""
        body = copy.deepcopy(self.body)
        for name, own in body.named_parameters():
            param = params[name]
            own.copy_(param[task] if self._has_tasks(name, param) else param)
        return body


# ---- algorithms ----------------------------------------------------------------------


def maml(learner, tasks):
    """Losses of the query after steps on the support, differentiated through them."""
    return _after_steps(learner, tasks, second_order=True)


def fomaml(learner, tasks):
    """As `maml`, the gradients of the inner loop taken for constants."""
    return _after_steps(learner, tasks, second_order=False)


def anil(learner, tasks):
    """As `maml`, the steps those of the head alone."""
    return _after_steps(learner, tasks, second_order=True)


def meta_sgd(learner, tasks):
    """As `maml`, the rates of all parameters and steps learned along."""
    return _after_steps(learner, tasks, second_order=True)


def reptile(learner, tasks):
    """A surrogate whose gradient is the way back from where the steps lead.

    Steps are on the support and the query in turn: the directions that help both remain
    in the sum. The value is the loss of the query after them.
    """
    start = learner.start(tasks.support, tasks.n_outputs)
    with torch.no_grad():
        batches = [tasks.support, tasks.query]
        fixed = {name: p.detach() for name, p in start.items()}
        end = learner.descend(fixed, batches, learner.n_inner_steps, second_order=False)
        losses = learner.losses(end, tasks.query)
    rate = learner.inner_lr or 1.0
    ways = [
        ((p - end[name]).detach() * p).flatten(1).sum(dim=1) / rate
        for name, p in start.items()
    ]
    surrogate = torch.stack(ways).sum(dim=0)
    return losses + surrogate - surrogate.detach()


def _after_steps(learner, tasks, *, second_order):
    params = learner.start(tasks.support, tasks.n_outputs)
    params = learner.descend(
        params, [tasks.support], learner.n_inner_steps, second_order=second_order
    )
    return learner.losses(params, tasks.query)


class Algorithm(NamedTuple):
    """What is learned of tasks, and how a task is adapted to."""

    losses: object  # (learner, tasks) -> (n_tasks,), to be lowered
    head_only: bool = False  # whether the steps leave the encoder alone
    learned_rates: bool = False
    min_steps: int = 0


ALGORITHMS = {
    "maml": Algorithm(maml),
    "fomaml": Algorithm(fomaml),
    "anil": Algorithm(anil, head_only=True),
    # After one step the way back is the gradient at the start: plain training.
    "reptile": Algorithm(reptile, min_steps=2),
    "meta_sgd": Algorithm(meta_sgd, learned_rates=True),
}


def get_algorithm(name, n_inner_steps):
    """An entry of `ALGORITHMS`.

    Raises
    ------
    ValueError
        If there is none, or it needs more inner steps.
    """
    if name not in ALGORITHMS:
        raise ValueError(
            f"algorithm={name!r} is unknown; choose one of {list(ALGORITHMS)}."
        )
    algorithm = ALGORITHMS[name]
    if n_inner_steps < algorithm.min_steps:
        raise ValueError(
            f"algorithm={name!r} needs n_inner_steps of at least "
            f"{algorithm.min_steps}, got {n_inner_steps}: after one step it is plain "
            "training on all tasks. Raise n_inner_steps, or choose 'fomaml'."
        )
    return algorithm
