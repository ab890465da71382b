"""What all pictures have in common: colours, shapes, and the way into axes."""

import re

# The palette of Okabe & Ito, which the colour-blind can tell apart. Its yellow is left
# out, as it is hardly seen on white paper; black stands for it.
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#E69F00", "#56B4E9", "#000000"),
)

# Whatever differs in colour differs in one of these too.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)))
HATCHES = ("", "////", "....", "xxxx")

# Its lightness rises steadily, so that it stays readable without colour.
COLOUR_MAP = "cividis"

QUIET = "0.35"  # grey of what explains
FAINT = "0.75"  # grey of what only guides the eye


def import_matplotlib(caller):
    """Raise in words that help where matplotlib is not installed."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} requires matplotlib, which is not installed: run "
            '`pip install "skmeta[plot]"` or `pip install matplotlib`.'
        ) from error
    return plt


def open_axes(display, ax, figsize, layout="constrained"):
    """The axes to draw in, given or new, set as ``ax_`` and ``figure_``."""
    plt = import_matplotlib(f"{type(display).__name__}.plot")
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout=layout)
    elif not hasattr(ax, "add_artist"):
        raise TypeError(
            f"ax must be one matplotlib Axes, or None for a new figure; got a "
            f"{type(ax).__name__}."
        )
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def clear_spines(ax):
    """Leave the two sides that carry numbers."""
    ax.spines[["top", "right"]].set_visible(False)


def legend_inside(ax):
    """A legend where it covers least, of what has a name; none where nothing has."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize="small")


def legend_above(ax, n):
    """A legend of n entries in one line, where it covers no points."""
    place = dict(loc="lower center", bbox_to_anchor=(0.5, 1.0), borderaxespad=0.2)
    return ax.legend(frameon=False, fontsize="small", ncols=n, **place)


def halo(width=2.5):
    """White around letters, so that they are read on top of points."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="white")]


def plain(text, width=32):
    """A name as it is, in one line: cut where it is long, and no formula in dollars."""
    text = " ".join(str(text).split())
    text = text if len(text) <= width else text[: width - 1] + "…"
    return text.replace("$", r"\$")


def legend_name(text):
    """The same for a legend, which leaves out what begins with an underscore."""
    text = plain(text)
    return f" {text}" if text.startswith("_") else text


def write_number(value, decimals=2):
    """A number without the zero before its point, and zero without a sign."""
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return re.sub(r"^(-?)0\.", r"\1.", text)


def is_dark(image, value):
    """Whether text on a cell of this value has to be white."""
    red, green, blue, _ = image.cmap(image.norm(value))
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
