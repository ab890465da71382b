"""A curve with a band, and others beside it in the same axes."""

import numpy as np

from skmeta.plotting._style import (
    COLOURS,
    LINES,
    MARKERS,
    clear_spines,
    legend_inside,
    open_axes,
)


def draw_curve(display, ax, x, mean, half, *, mark, xlabel, log=True):
    """Draw ``display.name``, and set ``line_`` and ``band_``.

    ``mark`` is the gid of lines of this kind: the next one looks different.
    """
    ax = open_axes(display, ax, (5.0, 3.6))
    before = [line for line in ax.lines if line.get_gid() == mark]
    i = len(before)
    colour = COLOURS[i % len(COLOURS)]
    (display.line_,) = ax.plot(
        x,
        mean,
        linestyle=LINES[i % len(LINES)],
        marker=MARKERS[i % len(MARKERS)],
        color=colour,
        markersize=5,
        label=display.name,
        gid=mark,
    )
    display.band_ = ax.fill_between(
        x, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0
    )
    every = np.unique(np.r_[x, *(line.get_xdata() for line in before)])
    if log:
        ax.set_xscale("log")
        every = _apart(every)
    ax.set_xticks(every, [f"{int(n):,}" for n in every])
    ax.minorticks_off()
    ax.set(xlabel=xlabel, ylabel=display.quantity)
    clear_spines(ax)
    legend_inside(ax)
    return display


def _apart(sizes, share=0.06):
    """Sizes, the largest first, whose labels on a logarithmic axis do not touch."""
    sizes = sizes[::-1]
    place, kept = np.log(sizes), [0]
    for i in range(1, len(sizes)):
        if place[kept[-1]] - place[i] >= share * (place[0] - place[-1]):
            kept.append(i)
    return sizes[kept]
