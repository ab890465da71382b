"""Multilayer perceptrons of many tasks at once, with gradients written out by hand.

A layer is one matrix: its weights, and its biases as the last row, which meets a
column of ones. It is ``(n_in + 1, n_out)`` where all tasks share it, and
``(n_tasks, n_in + 1, n_out)`` once each task has its own; rows are
``(n_tasks, n_rows, n_in)``. A step of gradient descent is

    Z_l = A_(l-1) W_l,  A_l = f(Z_l),  D_L = dloss / dZ_L,
    D_l = (D_(l+1) W_(l+1)') * f'(Z_l),  W_l <- W_l - rate * A_(l-1)' D_l,

and what a derivative V by the weights after it is by those before it, V - H (rate * V),
is the derivative of these lines in the direction rate * V (Pearlmutter 1994, "Fast
exact multiplication by the Hessian", Neural Computation 6(1)). So all steps of an inner
loop are one node of torch's graph, which keeps the weights and layers of each step.
"""

from typing import NamedTuple

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class Activation(NamedTuple):
    """A function of each entry, and its derivatives."""

    value: object  # Z -> A
    slope: object  # (Z, A) -> f'(Z); None where it is one
    curvature: object  # (Z, A) -> f''(Z); None where it is zero


def _gelu_slope(Z, A):
    return 0.5 + 0.5 * torch.erf(Z * 0.5**0.5) + Z * _density(Z)


def _density(Z):
    return torch.exp(-0.5 * Z * Z) * 0.3989422804014327  # 1 / sqrt(2 pi)


def _silu_slope(Z, A):
    share = torch.sigmoid(Z)
    return share * (1 + Z * (1 - share))


def _silu_curvature(Z, A):
    share = torch.sigmoid(Z)
    return share * (1 - share) * (2 + Z * (1 - 2 * share))


ACTIVATIONS = {
    "identity": Activation(lambda Z: Z, None, None),
    "relu": Activation(torch.relu, lambda Z, A: A.sign(), None),
    "tanh": Activation(
        torch.tanh, lambda Z, A: 1 - A * A, lambda Z, A: -2 * A * (1 - A * A)
    ),
    "logistic": Activation(
        torch.sigmoid,
        lambda Z, A: A * (1 - A),
        lambda Z, A: A * (1 - A) * (1 - 2 * A),
    ),
    "gelu": Activation(F.gelu, _gelu_slope, lambda Z, A: _density(Z) * (2 - Z * Z)),
    "silu": Activation(F.silu, _silu_slope, _silu_curvature),
}


class _Layers(NamedTuple):
    """What a forward pass leaves behind."""

    inputs: list  # A_l of each layer, with a column of ones
    sums: list  # Z_l of the hidden layers
    slopes: list  # f'(Z_l) of the hidden layers
    output: torch.Tensor  # (n_tasks, n_rows, n_out)


def forward(activation, layers, X):
    """Outputs (n_tasks, n_rows, n_out), by torch's own gradients.

    Parameters
    ----------
    activation : str
    layers : sequence of tensor
        From the first to the last.
    X : tensor (n_tasks, n_rows, n_in)
    """
    return _forward(ACTIVATIONS[activation], layers, X).output


def hidden(activation, layers, X):
    """Values (n_tasks, n_rows, n_out) of the last of some hidden layers."""
    value = ACTIVATIONS[activation].value
    for W in layers:
        X = value(affine(X, W))
    return X


def affine(X, W):
    """``[X, 1] W``, of one layer."""
    if W.ndim == 2:
        return torch.matmul(X, W[:-1]) + W[-1]
    return torch.baddbmm(W[:, -1:], X, W[:, :-1])


def _forward(activation, layers, X):
    inputs, sums, slopes = [_with_ones(X)], [], []
    for W in layers[:-1]:
        Z = _times(inputs[-1], W)
        A = activation.value(Z)
        sums.append(Z)
        slopes.append(None if activation.slope is None else activation.slope(Z, A))
        inputs.append(_with_ones(A))
    return _Layers(inputs, sums, slopes, _times(inputs[-1], layers[-1]))


def _sloped(D, slope):
    """``D * slope``, in the place of D."""
    return D if slope is None else D.mul_(slope)


def _with_ones(A):
    return torch.constant_pad_nd(A, (0, 1), 1.0)


def _times(A, W):
    """``A W`` of tasks that share W, or have one each."""
    return torch.matmul(A, W) if W.ndim == 2 else torch.bmm(A, W)


def _is_narrow(A, D):
    """Whether ``A' D`` is kept with its long side last in memory.

    Of few outputs these products, and those with them, are then up to four times as
    fast.
    """
    return 2 * D.shape[2] <= A.shape[2]


def _products(A, D):
    """``A' D`` of each task."""
    if _is_narrow(A, D):
        return torch.bmm(D.mT, A).mT
    return torch.bmm(A.mT, D)


def _less_products(V, A, D, scale):
    """``V - scale * A' D`` of each task."""
    if _is_narrow(A, D):
        return torch.baddbmm(V.mT, D.mT, A, alpha=-scale).mT
    return torch.baddbmm(V, A.mT, D, alpha=-scale)


def _less_sum(V, A, D, scale):
    """``V - scale * A' D``, the sum over tasks, in the place of V."""
    return V.addmm_(A.flatten(0, 1).t(), D.flatten(0, 1), alpha=-scale)


def _without_biases(W):
    return W[:-1] if W.ndim == 2 else W[:, :-1]


def descend(activation, loss, layers, batches, rates, n_steps, *, second_order):
    """Layers of each task after some steps of gradient descent on its loss.

    Parameters
    ----------
    activation : str
    loss : Loss
        With a gradient and curvature.
    layers : sequence of tensor
        From the first to the last.
    batches : sequence of Rows
        To step on in turn, again from the first where there are more steps.
    rates : sequence of (float or list of tensor)
        Of each step, the last of them for all further: a number, or of each layer a
        tensor of its shape without tasks, or one to broadcast to that.
    n_steps : int
    second_order : bool
        Whether gradients flow through those of the inner loop.

    Returns
    -------
    tuple of tensor (n_tasks, n_in + 1, n_out)
    """
    if n_steps == 0:
        return tuple(layers)
    inputs = [batch.X for batch in batches]
    plan = _Plan(
        ACTIVATIONS[activation],
        loss,
        tuple(batches),
        tuple(rates),
        second_order,
        any(X.requires_grad for X in inputs),
    )
    learned = [rate for step in rates if not isinstance(step, float) for rate in step]
    return _Descent.apply(plan, n_steps, len(layers), *layers, *inputs, *learned)


class _Plan(NamedTuple):
    activation: Activation
    loss: object
    batches: tuple
    rates: tuple
    second_order: bool
    inputs_too: bool  # whether gradients flow to the rows as well

    def of_step(self, k):
        """Numbers of the batch and of the rates of a step, and both."""
        i, j = k % len(self.batches), min(k, len(self.rates) - 1)
        return i, j, self.batches[i], self.rates[j]


class _Step(NamedTuple):
    """What the way back needs of a step."""

    weights: tuple
    returns: list  # W' without biases, of the layers that something passes back through
    layers: _Layers
    deltas: list  # D_l of each layer
    bends: list | None  # D_(l+1) W_(l+1)' * f''(Z_l) of the hidden ones; None for zero
    cache: object  # of the loss


class _Descent(torch.autograd.Function):
    """From weights, inputs and learned rates to the weights after the steps."""

    @staticmethod
    def forward(ctx, plan, n_steps, n_layers, *tensors):
        weights = tensors[:n_layers]
        ctx.plan, ctx.n_layers, ctx.steps = plan, n_layers, []
        ctx.weights = weights
        keep = plan.second_order or any(ctx.needs_input_grad[3 + n_layers :])
        for k in range(n_steps):
            *_, batch, rates = plan.of_step(k)
            step = _step(plan, weights, batch)
            weights = _moved(step, rates)
            if keep:
                ctx.steps.append(step)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx, *V):
        plan, n, n_batches = ctx.plan, ctx.n_layers, len(ctx.plan.batches)
        found = [None] * (len(ctx.needs_input_grad) - 3)
        for k in reversed(range(len(ctx.steps))):
            i, j, batch, rates = plan.of_step(k)
            if not isinstance(rates, float):
                # Learned rates come after the inputs, those of a step together.
                first = sum(len(r) for r in plan.rates[:j] if not isinstance(r, float))
                changes = _rate_changes(ctx.steps[k], V, rates)
                for at, change in enumerate(changes, n + n_batches + first):
                    found[at] = _plus(found[at], change)
            if plan.second_order:
                V, dX = _way_back(plan, ctx.steps[k], batch, V, rates)
                found[n + i] = _plus(found[n + i], dX)
        found[:n] = map(_as_given, V, ctx.weights)
        return None, None, None, *found


def _plus(total, change):
    return change if total is None else total if change is None else total + change


def _step(plan, weights, rows):
    """Layers and their derivatives at some weights."""
    layers = _forward(plan.activation, weights, rows.X)
    delta, cache = plan.loss.gradient(layers.output, rows)
    returns = _returns(weights, plan.inputs_too)
    bends = None if plan.activation.curvature is None else []
    deltas = _backward(plan.activation, returns, layers, delta, bends)
    return _Step(weights, returns, layers, deltas, bends, cache)


def _returns(weights, inputs_too):
    """W' of each layer without its biases; None where nothing passes back through."""
    skipped = 0 if inputs_too else 1
    return [None] * skipped + [_without_biases(W).mT for W in weights[skipped:]]


def _backward(activation, returns, layers, delta, bends=None):
    """D_l of all layers."""
    deltas = [delta]
    for i in range(len(returns) - 1, 0, -1):
        D = _times(deltas[0], returns[i])
        if bends is not None:
            A = layers.inputs[i][..., :-1]
            bends.insert(0, activation.curvature(layers.sums[i - 1], A) * D)
        deltas.insert(0, _sloped(D, layers.slopes[i - 1]))
    return deltas


def _moved(step, rates):
    """Weights of each task after the step."""
    parts = zip(step.weights, step.layers.inputs, step.deltas, strict=True)
    if isinstance(rates, float):
        return tuple(_less_products(W, A, D, rates) for W, A, D in parts)
    return tuple(
        torch.addcmul(W, rate, _products(A, D), value=-1)
        for (W, A, D), rate in zip(parts, rates, strict=True)
    )


def _rate_changes(step, V, rates):
    """Derivatives by the rates of a step, of that by the weights after it."""
    for v, A, D, rate in zip(V, step.layers.inputs, step.deltas, rates, strict=True):
        yield -(_products(A, D) * v).sum(dim=0).sum_to_size(rate.shape)


def _way_back(plan, step, rows, V, rates):
    """Derivatives by the weights before a step (and by its inputs), of those after."""
    U, scale = V, rates
    if not isinstance(rates, float):
        U, scale = [v * rate for v, rate in zip(V, rates, strict=True)], 1.0
    layers = step.layers
    R_values, R_sums = _directional(step, U)
    RD = plan.loss.curvature(R_sums.pop(), rows, step.cache)
    before, R_passed = [], None
    for i in reversed(range(len(U))):
        A, D = layers.inputs[i], step.deltas[i]
        if step.weights[i].ndim == 2:
            # Of a layer that tasks share the sum over them is all that is asked.
            before.append(_less_sum(V[i].sum(dim=0), A, RD, scale))
            if i:
                _less_sum(before[-1][:-1], R_values[i - 1], D, scale)
        else:
            before.append(_less_products(V[i], A, RD, scale))
            if i:
                change = _products(R_values[i - 1], D)
                before[-1][:, :-1].sub_(change, alpha=scale)
        if i or plan.inputs_too:
            R_passed = torch.bmm(D, _without_biases(U[i]).mT)
            R_passed += _times(RD, step.returns[i])
        if i:
            RD = _sloped(R_passed, layers.slopes[i - 1])
            if step.bends is not None:
                RD.addcmul_(step.bends[i - 1], R_sums[i - 1])
    return before[::-1], -scale * R_passed if plan.inputs_too else None


def _directional(step, U):
    """Derivatives of the layers' values and sums in the direction U of the weights."""
    R_values, R_sums, layers = [], [], step.layers
    for i, A in enumerate(layers.inputs):
        RZ = torch.bmm(A, U[i])
        if i:
            RZ += _times(R_values[-1], step.returns[i].mT)
        R_sums.append(RZ)
        if i + 1 < len(U):
            slope = layers.slopes[i]
            in_place = step.bends is None  # the sums themselves are needed no more
            R_values.append(_sloped(RZ if in_place else RZ.clone(), slope))
    return R_values, R_sums


def losses(activation, loss, layers, rows):
    """Loss of each task (n_tasks,) at its weights."""
    return _Losses.apply(ACTIVATIONS[activation], loss, rows, rows.X, *layers)


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, activation, loss, rows, X, *weights):
        layers = _forward(activation, weights, X)
        ctx.kept = activation, loss, rows, weights, layers
        return loss.value(layers.output, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, share):
        activation, loss, rows, weights, layers = ctx.kept
        delta = loss.gradient(layers.output, rows)[0].mul_(share.view(-1, 1, 1))
        returns = _returns(weights, ctx.needs_input_grad[3])
        deltas = _backward(activation, returns, layers, delta)
        found = [
            _as_given(_products(A, D), W)
            for A, D, W in zip(layers.inputs, deltas, weights, strict=True)
        ]
        dX = _times(deltas[0], returns[0]) if ctx.needs_input_grad[3] else None
        return None, None, None, dX, *found


def _as_given(V, W):
    """Derivatives by a layer: of one that tasks share their sum."""
    return V.sum(dim=0) if W.ndim < V.ndim else V
