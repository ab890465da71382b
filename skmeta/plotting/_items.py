"""Things in the cells of a retrieval sheet: images, curves and texts."""

from textwrap import wrap

import numpy as np

from skmeta.plotting._style import QUIET

# Of the average letter, in parts of the font's size.
LETTER_WIDTH, LINE_HEIGHT = 0.57, 1.25


def check_items(items, name, n=None):
    """Items as a list, each an image, a curve or a text."""
    if isinstance(items, str):
        raise TypeError(f"{name} is a single string; pass a list of one.")
    items = list(items)
    if n is not None and len(items) != n:
        raise ValueError(f"{name} has {len(items)} entries, but {n} are needed.")
    return [check_item(item, f"{name}[{i}]") for i, item in enumerate(items)]


def check_item(item, name):
    """A str, a finite curve (n,) or an image (h, w[, c]) that can be drawn as it is."""
    if isinstance(item, str):
        return str(item)
    array = np.asarray(item)
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2, 3) or not array.size:
        raise TypeError(
            f"{name} is a {type(item).__name__} of shape {array.shape}; expected a "
            "text, an image (height, width[, channels]) or a curve of numbers."
        )
    if array.dtype.kind == "b":
        array = array.astype(float)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has NaN or infinity; expected finite numbers.")
    if array.ndim == 3:
        if array.shape[2] == 1:
            return array[..., 0]
        if array.shape[2] not in (3, 4):
            raise ValueError(
                f"{name} has {array.shape[2]} channels; an image has 1, 3 or 4, in its "
                "last axis."
            )
        top = 1 if array.dtype.kind == "f" else 255
        if array.min() < 0 or array.max() > top:
            raise ValueError(
                f"{name} has values from {array.min():g} to {array.max():g}; colours "
                f"of dtype {array.dtype} lie between 0 and {top}."
            )
    return array


def draw_item(ax, item, box, cell, *, limits, cmap, align="center"):
    """The artist of an item in a box (left, right, bottom, top), a cell in points."""
    left, right, bottom, top = box
    if isinstance(item, str):
        return _draw_text(ax, item, box, cell, align)
    if item.ndim == 1:
        x = np.linspace(left, right, len(item) + 2)[1:-1]
        low, high = min(0.0, item.min()), max(0.0, item.max())
        y = bottom + (item - low) * (top - bottom) / ((high - low) or 1.0)
        zero = bottom - low * (top - bottom) / ((high - low) or 1.0)
        return ax.fill_between(x, zero, y, color=QUIET, linewidth=0)
    h, w = item.shape[:2]
    width, height = np.array([w, h]) / max(w, h)
    x, y = (left + right) / 2, (bottom + top) / 2
    half_x, half_y = width * (right - left) / 2, height * (top - bottom) / 2
    shown = dict(cmap=cmap, vmin=limits[0], vmax=limits[1]) if item.ndim == 2 else {}
    return ax.imshow(
        item,
        extent=(x - half_x, x + half_x, y - half_y, y + half_y),
        interpolation="antialiased",
        origin="upper",
        aspect="equal",
        **shown,
    )


def _draw_text(ax, text, box, cell, align):
    """As many words as the box holds, in the largest of three sizes that holds all."""
    left, right, bottom, top = box
    for size in (10, 8.5, 7):
        n_letters = max(4, int(cell * (right - left) / (LETTER_WIDTH * size)))
        n_lines = max(1, int(cell * abs(top - bottom) / (LINE_HEIGHT * size)))
        lines = wrap(text, n_letters)
        if len(lines) <= n_lines:
            break
    if len(lines) > n_lines:
        lines = lines[:n_lines]
        lines[-1] = lines[-1][: n_letters - 1].rstrip(" ,.;") + "…"
    x = left if align == "left" else (left + right) / 2
    return ax.text(
        x,
        (bottom + top) / 2,
        "\n".join(lines).replace("$", r"\$"),  # no formula
        ha=align,
        va="center",
        fontsize=size,
    )
