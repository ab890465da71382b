"""How well rows of one view find another's, and new classes are told apart."""

from skmeta.core.distances import METRICS
from skmeta.metrics._episodic import EpisodicScorer
from skmeta.metrics._retrieval import (
    RetrievalScorer,
    canonical_correlations,
    mean_average_precision,
    median_rank,
    recall_at_k,
)

__all__ = [
    "METRICS",
    "EpisodicScorer",
    "RetrievalScorer",
    "canonical_correlations",
    "mean_average_precision",
    "median_rank",
    "recall_at_k",
]
