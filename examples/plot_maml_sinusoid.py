"""
A wave from five points
=======================

Many small tasks, each a sine of its own amplitude and phase, and of each only a few
points. No single function fits them all; what they share is their shape. Learned over
many tasks, it makes five points of a new one enough: by a start from which a few steps
of gradient descent go far (MAML), or by features under a Bayesian linear head, which is
adapted in closed form and knows how sure it is.

It needs torch: ``pip install "skmeta[torch]"``.
"""

# %%
# Two learners
# ------------
#
# A task's rows share a number in ``task``. Training tasks are drawn from these anew for
# each meta-update.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.kernel_ridge import KernelRidge

from skmeta import MAMLFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks

seen = make_sinusoid_tasks(5000, n_per_task=20, random_state=0)
# The waves and their inputs have sizes that a rate of 0.01 suits as they are.
maml = MAMLFewShotRegressor(
    standardize=False,
    outer_lr=5e-3,
    max_iter=6000,
    early_stopping=False,
    random_state=0,
)
ridge = MAMLFewShotRegressor(algorithm="ridge", max_iter=600, random_state=0)
for learner in (maml, ridge):
    learner.fit(seen.X, seen.y, task=seen.task)
    print(f"{learner.algorithm}: {learner.n_iter_} meta-updates")

# %%
# Adapted to a new task
# ---------------------

new = make_sinusoid_tasks(200, n_per_task=110, random_state=1)


def rows(task, n):
    """Some points of a task, and a hundred others."""
    first = 110 * task
    return np.arange(first, first + n), np.arange(first + 10, first + 110)


def error(predict, n):
    """Mean squared error of the others, over all tasks."""
    errors = []
    for task in range(200):
        few, others = rows(task, n)
        found = predict(new.X[few], new.y[few], new.X[others])
        errors.append(np.mean((found - new.y[others]) ** 2))
    return np.mean(errors)


N_STEPS = (0, 1, 2, 5, 10)
curves = {
    n: [
        error(lambda X, y, Q, s=s: maml.adapt(X, y, n_steps=s).predict(Q), n)
        for s in N_STEPS
    ]
    for n in (5, 10)
}
closed = {n: error(lambda X, y, Q: ridge.adapt(X, y).predict(Q), n) for n in (5, 10)}


def alone(X, y, Q):
    """A smooth curve through the points, which knows of no other task."""
    return KernelRidge(kernel="rbf", gamma=0.5, alpha=0.01).fit(X, y).predict(Q)


scratch = error(alone, 10)
for n in (5, 10):
    steps = ", ".join(f"{value:.2f}" for value in curves[n])
    print(f"{n} points: MAML after {N_STEPS} steps {steps}; ridge {closed[n]:.3f}")
print(f"10 points: kernel ridge alone {scratch:.2f}")

# %%
# The picture
# -----------
#
# On the left, one new wave and five of its points. The start of MAML is a wave of
# middling height, from which all others are near. Ridge draws the wave, with a band of
# two standard deviations that is narrow where the points leave little room. On the
# right, the error over 200 new waves. That of a smooth curve through ten points, which
# knows of no other task, stands beside them.

task = int(np.argmin(np.abs(new.amplitude - 4)))
few, _ = rows(task, 5)
grid = np.linspace(-5, 5, 200)[:, None]
truth = new.amplitude[task] * np.sin(grid[:, 0] - new.phase[task])
figure, (left, right) = plt.subplots(
    1, 2, figsize=(9.5, 3.8), layout="constrained", width_ratios=(3, 2)
)
left.plot(grid, truth, color="0.6", lw=4, label="truth")
for n_steps, style in ((0, ":"), (1, "--"), (10, "-")):
    adapted = maml.adapt(new.X[few], new.y[few], n_steps=n_steps)
    left.plot(
        grid,
        adapted.predict(grid),
        style,
        color="#D55E00",
        label=f"MAML, {n_steps} step{'s' * (n_steps != 1)}",
    )
found, deviations = ridge.adapt(new.X[few], new.y[few]).predict(grid, return_std=True)
left.plot(grid, found, color="#0072B2", label="ridge")
left.fill_between(
    grid[:, 0],
    found - 2 * deviations,
    found + 2 * deviations,
    color="#0072B2",
    alpha=0.2,
    lw=0,
)
left.plot(new.X[few], new.y[few], "o", color="black", ms=7, label="five points")
left.set(xlabel="x", ylabel="y")
left.legend(frameon=False, fontsize=8, ncols=2, loc="upper center")
left.set_ylim(-6, 9)

for n, marker, style in ((5, "s", "--"), (10, "o", "-")):
    right.plot(
        N_STEPS,
        curves[n],
        style,
        color="#D55E00",
        marker=marker,
        label=f"MAML, {n} points",
    )
    right.axhline(closed[n], color="#0072B2", ls=style, label=f"ridge, {n} points")
right.axhline(scratch, color="0.4", ls=":", label="kernel ridge alone, 10 points")
right.set(xlabel="steps of gradient descent", ylabel="squared error", yscale="log")
right.legend(frameon=False, fontsize=8)
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)
figure.savefig("maml_sinusoid.png", dpi=100)
plt.show()
