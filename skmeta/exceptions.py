"""Warnings on which a user can act, each its own class so that it can be filtered."""

__all__ = ["ConditionWarning", "CorrelationOneWarning", "RankWarning"]


class RankWarning(UserWarning):
    """A view has fewer dimensions than columns, or than components asked for."""


class CorrelationOneWarning(UserWarning):
    """Correlations of 1 hold by construction: there are too few rows."""


class ConditionWarning(UserWarning):
    """Moments of a view have lost digits, and its rows are not there to be asked."""
