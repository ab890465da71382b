"""Aligning tables whose rows stand in different orders, or are partly missing."""

import sys

import numpy as np

from skmeta.views._rows import is_null

HOW = ("outer", "inner", "left")


def join(frames, *, how, on):
    """Aligned tables and masks of what is present: two dicts by view."""
    if on is not None and not isinstance(on, str):
        raise TypeError(f"on= is the name of one column; got {on!r}.")
    if how not in HOW:
        raise ValueError(f"how must be one of {list(HOW)}; got {how!r}.")
    if len(frames) < 2:
        raise ValueError(
            f"Views.join aligns two or more tables; got {list(frames) or 'none'}."
        )
    kind = {_library(name, frame) for name, frame in frames.items()}
    if len(kind) > 1:
        raise TypeError(
            "Views.join takes tables of one library; got both pandas and polars."
        )
    if on is None and "polars" in kind:
        raise ValueError(
            "polars tables have no index: name the key column, as in "
            "Views.join(..., on='id')."
        )
    if on is not None:
        for name, frame in frames.items():
            if on not in getattr(frame, "columns", ()):
                raise ValueError(
                    f"Table {name!r} has no column {on!r} to join on; its columns are "
                    f"{list(getattr(frame, 'columns', ()))}."
                )
    align = _align_pandas if "pandas" in kind else _align_polars
    return align(frames, how, on)


def _library(name, frame):
    for library in ("pandas", "polars"):
        module = sys.modules.get(library)
        if module is not None and isinstance(frame, module.DataFrame | module.Series):
            return library
    raise TypeError(
        f"Views.join aligns pandas or polars tables; {name!r} is a "
        f"{type(frame).__name__}."
    )


def _keys(key_lists, how):
    """The keys of the joined rows, in order of first appearance."""
    first = next(iter(key_lists.values()))
    for name, keys in key_lists.items():
        if any(is_null(key) for key in keys):
            raise ValueError(
                f"Table {name!r} has a row without a key (null), which cannot be "
                "joined; drop such rows or give them keys."
            )
        if len(set(keys)) < len(keys):
            seen = set()
            twice = next(k for k in keys if k in seen or seen.add(k))
            raise ValueError(
                f"Key {twice!r} appears twice in table {name!r}; Views.join needs "
                "keys that name one row each."
            )
    if how == "outer":
        keys = list(dict.fromkeys(k for keys in key_lists.values() for k in keys))
    elif how == "inner":
        common = set(first).intersection(*key_lists.values())
        keys = [k for k in first if k in common]
    else:
        keys = list(first)
    if not keys:
        raise ValueError(
            f"Views.join(how={how!r}) leaves no row: the tables "
            f"{list(key_lists)} share no key."
        )
    return keys


def _present(keys, own):
    own = set(own)
    return np.fromiter((k in own for k in keys), bool, len(keys))


def _align_pandas(frames, how, on):
    if on is not None:
        frames = {name: frame.set_index(on) for name, frame in frames.items()}
    own = {name: frame.index.tolist() for name, frame in frames.items()}
    keys = _keys(own, how)
    # From existing labels, so that the joined index keeps its type and its name.
    union = next(iter(frames.values())).index
    for frame in list(frames.values())[1:]:
        union = union.append(frame.index.difference(union, sort=False))
    union = union[union.get_indexer_for(keys)]
    arrays = {name: frame.reindex(union) for name, frame in frames.items()}
    return arrays, {name: _present(keys, own[name]) for name in frames}


def _align_polars(frames, how, on):
    own = {name: frame[on].to_list() for name, frame in frames.items()}
    keys = _keys(own, how)
    first = next(iter(frames.values()))
    spine = type(first)({on: keys})
    arrays = {}
    for name, frame in frames.items():
        rows = spine.cast({on: frame[on].dtype})
        rows = rows.join(frame, on=on, how="left", maintain_order="left")
        arrays[name] = rows.drop(on)
    return arrays, {name: _present(keys, own[name]) for name in frames}
