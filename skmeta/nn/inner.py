"""The inner loop of learning to learn: gradient descent on a loss of each task.

Parameters are a dict of tensors with a first axis of tasks; what they are parameters
of, only the loss knows. One encoder or several, regression or contrast: the loop is the
same.

References
----------
Finn, Abbeel & Levine (2017), "Model-agnostic meta-learning for fast adaptation of deep
networks", ICML.
"""

import torch


def descend(loss, params, rates, n_steps, *, second_order):
    """Parameters of each task after some steps of gradient descent.

    Parameters
    ----------
    loss : callable
        ``(params, step) -> (n_tasks,)``.
    params : dict of str to tensor (n_tasks, ...)
        To start from.
    rates : sequence of (float or dict of str to tensor)
        Of each step, the last of them for all further: a number, or of each parameter a
        tensor of its shape without tasks, or one to broadcast to that.
    n_steps : int
    second_order : bool
        Whether gradients flow through those of the inner loop. Without, they flow
        through the parameters that it starts from, and the rates; memory is then that
        of one step.

    Returns
    -------
    dict of str to tensor (n_tasks, ...)
    """
    second_order = second_order and torch.is_grad_enabled()
    for step in range(n_steps):
        rate = rates[min(step, len(rates) - 1)]
        gradients = _gradients(loss, params, step, second_order)
        moved = {}
        for name, gradient in gradients.items():
            if gradient is None:  # of what the loss does not depend on
                moved[name] = params[name]
            elif isinstance(rate, float):
                moved[name] = torch.sub(params[name], gradient, alpha=rate)
            else:
                moved[name] = torch.addcmul(
                    params[name], rate[name], gradient, value=-1
                )
        params = moved
    return params


def _gradients(loss, params, step, second_order):
    with torch.enable_grad():
        if not second_order:
            params = {k: p.detach().requires_grad_() for k, p in params.items()}
        # Parameters that are constants themselves have gradients all the same.
        params = {
            k: p if p.requires_grad else p.detach().requires_grad_()
            for k, p in params.items()
        }
        # Tasks do not depend on each other: the gradient of the sum is that of each.
        found = torch.autograd.grad(
            loss(params, step).sum(),
            list(params.values()),
            create_graph=second_order,
            allow_unused=True,
        )
    return dict(zip(params, found, strict=True))


def of_each_task(params, n_tasks):
    """Parameters that tasks share, with an axis of tasks (and no memory for it)."""
    return {name: p.expand(n_tasks, *p.shape) for name, p in params.items()}
