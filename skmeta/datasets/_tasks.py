"""Made tasks that share a structure, for learning to learn."""

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skmeta.exceptions import check_count

# Finn, Abbeel & Levine (2017), section 5.1.
AMPLITUDES = (0.1, 5.0)
PHASES = (0.0, np.pi)
INPUTS = (-5.0, 5.0)

# What tells classes apart lies in few directions, and is small beside what does not.
N_INFORMATIVE = 5
BETWEEN = 1.0
WITHIN = 0.5
NUISANCE = 2.5


def make_sinusoid_tasks(n_tasks, n_per_task=20, *, random_state=None):
    """Regression tasks, each a sine of its own amplitude and phase.

    ``y = amplitude * sin(x - phase)``, with amplitudes uniform in [0.1, 5], phases in
    [0, pi] and x in [-5, 5], without noise: the protocol of [1]_, section 5.1.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    n_per_task : int, default=20
        Rows of each task.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same tasks at each call.

    Returns
    -------
    Bunch
        ``X`` : ndarray (n_tasks * n_per_task, 1)
            Inputs.
        ``y`` : ndarray (n_tasks * n_per_task,)
            The sine of each row's task.
        ``task`` : ndarray of int (n_tasks * n_per_task,)
            The task of each row, 0 to ``n_tasks - 1``; its rows stand together.
        ``amplitude``, ``phase`` : ndarray (n_tasks,)
            Of each task.

    References
    ----------
    .. [1] Finn, Abbeel & Levine (2017), "Model-agnostic meta-learning for fast
       adaptation of deep networks", ICML.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> made = make_sinusoid_tasks(100, n_per_task=10, random_state=0)
    >>> made.X.shape, made.amplitude.shape
    ((1000, 1), (100,))
    """
    check_count("n_tasks", n_tasks)
    check_count("n_per_task", n_per_task)
    rng = check_random_state(random_state)
    amplitude = rng.uniform(*AMPLITUDES, size=n_tasks)
    phase = rng.uniform(*PHASES, size=n_tasks)
    x = rng.uniform(*INPUTS, size=(n_tasks, n_per_task))
    y = amplitude[:, None] * np.sin(x - phase[:, None])
    return Bunch(
        X=x.reshape(-1, 1),
        y=y.ravel(),
        task=np.repeat(np.arange(n_tasks), n_per_task),
        amplitude=amplitude,
        phase=phase,
    )


def make_few_shot_tasks(
    n_classes=50, n_per_class=20, *, n_features=30, random_state=None
):
    """Rows of many classes that differ in the same few directions.

    A row is the mean of its class, which lies in five directions of the space, and
    normal deviations from it: of half the spread of the means within these directions,
    and of two and a half times their spread in all others. Raw distances see mostly
    what has nothing to do with the class; the directions are the same for all classes,
    and can be learned from some for the sake of others.

    Parameters
    ----------
    n_classes : int, default=50
        Number of classes.
    n_per_class : int, default=20
        Rows of each class.
    n_features : int, default=30
        Columns, more than five.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same rows at each call.

    Returns
    -------
    Bunch
        ``X`` : ndarray (n_classes * n_per_class, n_features)
            Rows.
        ``y`` : ndarray of int (n_classes * n_per_class,)
            The class of each row; rows of a class stand together.
        ``means`` : ndarray (n_classes, n_features)
            Of the classes.
        ``directions`` : ndarray (n_features, 5)
            Orthonormal; what tells classes apart lies along them.
        ``within`` : ndarray (n_features, n_features)
            Covariance of the rows of a class. With it the best classifier of given
            means is that of Mahalanobis distances.

    Examples
    --------
    >>> from skmeta.datasets import make_few_shot_tasks
    >>> made = make_few_shot_tasks(40, 10, random_state=0)
    >>> made.X.shape, made.directions.shape
    ((400, 30), (30, 5))
    """
    check_count("n_classes", n_classes)
    check_count("n_per_class", n_per_class)
    check_count("n_features", n_features, least=N_INFORMATIVE + 1)
    rng = check_random_state(random_state)
    turn = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
    directions = turn[:, :N_INFORMATIVE]
    means = BETWEEN * rng.standard_normal((n_classes, N_INFORMATIVE)) @ directions.T
    spread = np.full(n_features, NUISANCE * BETWEEN)
    spread[:N_INFORMATIVE] = WITHIN * BETWEEN
    deviations = rng.standard_normal((n_classes * n_per_class, n_features)) * spread
    y = np.repeat(np.arange(n_classes), n_per_class)
    return Bunch(
        X=means[y] + deviations @ turn.T,
        y=y,
        means=means,
        directions=directions,
        within=(turn * spread**2) @ turn.T,
    )
