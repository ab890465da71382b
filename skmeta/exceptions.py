"""Warnings on which a user can act, each its own class so that it can be filtered."""

__all__ = ["CorrelationOneWarning", "RankWarning"]


class RankWarning(UserWarning):
    """A view has fewer dimensions than columns, or than components asked for."""


class CorrelationOneWarning(UserWarning):
    """Correlations of 1 hold by construction: there are too few rows."""
