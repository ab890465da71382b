"""Learners that adapt to a new task from a few rows."""

from skmeta.few_shot._adapt import adapt
from skmeta.few_shot._metric import MetricFewShotClassifier

__all__ = ["MetricFewShotClassifier", "adapt"]
