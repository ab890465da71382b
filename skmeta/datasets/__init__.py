"""Small real sets inside the package, and generators of data whose truth is known."""

from skmeta.datasets._base import find_data
from skmeta.datasets._generators import make_paired_views
from skmeta.datasets._loaders import (
    load_debian_packages,
    load_emoji,
    load_mfeat,
    load_spoken_words,
)
from skmeta.datasets._tasks import make_few_shot_tasks, make_sinusoid_tasks

__all__ = [
    "find_data",
    "load_debian_packages",
    "load_emoji",
    "load_mfeat",
    "load_spoken_words",
    "make_few_shot_tasks",
    "make_paired_views",
    "make_sinusoid_tasks",
]
