"""Learners that adapt to a new task from a few rows."""

from skmeta.few_shot._adapt import adapt
from skmeta.few_shot._maml_classifier import MAMLFewShotClassifier
from skmeta.few_shot._maml_regressor import MAMLFewShotRegressor
from skmeta.few_shot._metric import MetricFewShotClassifier

__all__ = [
    "MAMLFewShotClassifier",
    "MAMLFewShotRegressor",
    "MetricFewShotClassifier",
    "adapt",
]
