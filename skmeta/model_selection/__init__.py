"""Splits by class and by episode, and choosing among candidates."""

from skmeta.model_selection._rules import fewest_components
from skmeta.model_selection._splitters import ClassDisjointKFold, EpisodeSplit

__all__ = ["ClassDisjointKFold", "EpisodeSplit", "fewest_components"]
