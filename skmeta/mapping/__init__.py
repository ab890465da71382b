"""Mappers of several views into one shared space, and retrieval across them."""

from skmeta.mapping._cca import CCAMapper
from skmeta.mapping._cca_cv import CCAMapperCV
from skmeta.mapping._neural import NeuralSharedSpaceMapper
from skmeta.mapping._retriever import CrossModalRetriever

__all__ = ["CCAMapper", "CCAMapperCV", "CrossModalRetriever", "NeuralSharedSpaceMapper"]
