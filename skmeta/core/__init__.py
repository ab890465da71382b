"""Pure functions on arrays: the mathematics that every estimator stands on.

Arrays come in, arrays or a NamedTuple go out. Nothing here validates input,
prints, or keeps state.
"""
