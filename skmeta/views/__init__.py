"""Several modalities of the same rows, and the one door through which they enter."""

from skmeta.views._views import Views

__all__ = ["Views"]
