"""Training a `Learner`, and adapting it to tasks.

Memory: of P parameters, n_s support and n_q query rows the graph of a task holds at
most about

    P (n_steps + 3) + 3 F (n_s n_steps + n_q)    numbers,

F being those that the layers make of one row; 4 P + 3 F max(n_s, n_q) where the inner
gradients are not differentiated (`fomaml`, `reptile`, and any adaptation). P is that of
the head for `anil`. Graphs of ``task_chunk_size`` tasks are held at a time, whatever
the number of tasks in a meta-update.
"""

import numpy as np
import torch

from skmeta.nn.training import Remedies, train

REMEDIES = Remedies(
    "lower outer_lr, or clip gradients by max_grad_norm",
    "set task_chunk_size, by which the meta-gradient stays the same",
    "tasks",
)


class Objective:
    """The mean loss of a batch of tasks, for `skmeta.nn.training.train`.

    Graphs of ``task_chunk_size`` tasks are in memory at a time; the gradient is that of
    all tasks.

    Parameters
    ----------
    losses : callable
        ``(space, tasks) -> (n_tasks,)``.
    task_chunk_size : int or None
    """

    def __init__(self, losses, task_chunk_size=None):
        self.losses, self.task_chunk_size = losses, task_chunk_size
        self.last = None

    def __call__(self, space, tasks):
        """The loss, a tensor with a gradient."""
        self.last = tasks
        n, size = len(tasks), self.task_chunk_size or len(tasks)
        if size >= n:
            return self.losses(space, tasks).mean()
        params = [p for p in space.parameters() if p.requires_grad]
        total, sums = 0.0, None
        for some in tasks.split(size):
            loss = self.losses(space, some).sum() / n
            found = torch.autograd.grad(loss, params, allow_unused=True)
            total = total + loss.detach()
            sums = found if sums is None else list(map(_plus, sums, found))
        return _Known.apply(total, sums, *params)


def _plus(a, b):
    return b if a is None else a if b is None else a + b


class _Known(torch.autograd.Function):
    """A value whose gradient is known already."""

    @staticmethod
    def forward(ctx, value, gradients, *params):
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx, share):
        return None, None, *(None if g is None else g * share for g in ctx.gradients)


def meta_train(learner, data, plan, rng, *, n_updates, task_chunk_size=None, **options):
    """Train a learner in place; an epoch is ``n_updates`` meta-updates.

    Parameters
    ----------
    learner : Learner or BayesianLearner
    data : EpisodeData
    plan : Plan
        Its ``batch_size`` is the number of tasks of a meta-update.
    rng : numpy.random.Generator
        Draws all tasks.
    n_updates : int
    task_chunk_size : int or None, default=None
        Tasks whose graphs are held at a time; None for as many as are fast.
    **options
        What else `skmeta.nn.training.train` takes.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        If the inner or the outer loop diverges; weights are the last finite ones.
    """
    objective = Objective(task_losses, task_chunk_size or learner.tasks_at_once)
    rows = np.arange(n_updates * plan.batch_size)
    try:
        return train(
            learner,
            objective,
            data,
            rows,
            plan,
            rng,
            remedies=REMEDIES,
            **options,
        )
    except FloatingPointError as error:
        why = learner.diverged(objective.last)
        if why is None:
            raise
        raise FloatingPointError(why) from error


def task_losses(learner, tasks):
    """Losses (n_tasks,) that training lowers."""
    return learner.task_losses(tasks)


@torch.no_grad()
def adapt(learner, support, n_outputs, n_steps):
    """Parameters of tasks after some steps on their support.

    Nothing of a step is kept but the parameters after it.

    Parameters
    ----------
    learner : Learner
        Left as it is.
    support : Rows
    n_outputs, n_steps : int

    Returns
    -------
    dict of str to tensor
        Those that each task has its own of with a first axis of tasks.

    Raises
    ------
    FloatingPointError
        If the steps diverge.
    """
    start = learner.start(support, n_outputs)
    params = learner.descend(start, [support], n_steps, second_order=False)
    if not all(bool(p.isfinite().all()) for p in params.values()):
        raise FloatingPointError(
            learner.diverged_at(start, [support], n_steps)
            or "Weights or rows of the task are too large, or not finite."
        )
    return params
