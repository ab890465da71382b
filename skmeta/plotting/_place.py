"""Labels beside their points, where they cover neither each other nor the points."""

import numpy as np

ANGLES = np.deg2rad(np.arange(0, 360, 30))
DISTANCES = (4, 12, 22, 34, 48, 64)  # in points, from a point to its label's edge


def place_labels(
    ax, points, texts, colours, *, away=None, centred=False, others=None, **style
):
    """Write texts beside points, the first the most freely.

    Parameters
    ----------
    ax : Axes
    points : ndarray (n, 2)
    texts : list of str
    colours : list of colour
    away : ndarray (2,), default=None
        Where there is room labels go away from here.
    centred : bool, default=False
        Whether a label may stand on its point.
    others : ndarray (m, 2), default=None
        Further points to leave free.
    **style
        Of the texts.

    Returns
    -------
    list of Annotation
    """
    from skmeta.plotting._style import QUIET, halo

    style = dict(ha="center", va="center", fontsize="small") | style
    figure = ax.figure.figure  # the whole of which it may be a part
    drafts = [ax.text(0, 0, text, in_layout=False, **style) for text in texts]
    figure.draw_without_rendering()  # the layout is settled and texts have sizes
    scale = 72 / figure.dpi
    to_points = ax.transData.transform
    anchors = to_points(points) * scale
    taken = anchors if others is None else to_points(others) * scale
    frame = ax.get_window_extent()
    frame = np.array([[frame.x0, frame.y0], [frame.x1, frame.y1]]) * scale
    start = None if away is None else to_points(away) * scale
    boxes, labels = np.empty((0, 2, 2)), []
    for draft, point, anchor, colour in zip(
        drafts, points, anchors, colours, strict=True
    ):
        extent = draft.get_window_extent()
        draft.remove()
        half = np.array([extent.width, extent.height]) * scale / 2 + 1
        offsets = _candidates(half, None if start is None else anchor - start, centred)
        centres = anchor + offsets
        candidates = np.stack([centres - half, centres + half], axis=1)  # (c, 2, 2)
        cost = 100 * _overlaps(candidates, boxes)
        cost += 3 * _covers(candidates, taken) * (0.2 if centred else 1)
        cost += 50 * _outside(candidates, frame)
        best = int(np.argmin(cost + 0.02 * np.hypot(*offsets.T)))
        boxes = np.concatenate([boxes, candidates[best][None]])
        gap = np.hypot(*np.maximum(np.abs(offsets[best]) - half, 0))
        line = dict(arrowstyle="-", color=QUIET, lw=0.5, shrinkA=0, shrinkB=2)
        label = ax.annotate(
            draft.get_text(),
            point,
            xytext=offsets[best],
            textcoords="offset points",
            color=colour,
            arrowprops=line if gap > DISTANCES[1] else None,
            path_effects=halo(),
            zorder=5,
            **style,
        )
        label.set_in_layout(False)  # it would move what it was placed by
        labels.append(label)
    return labels


def _candidates(half, direction, centred):
    """Offsets (c, 2) of a label's centre from its point, the best first."""
    angles = ANGLES
    if direction is not None and np.hypot(*direction) > 0:
        angles = ANGLES + np.arctan2(direction[1], direction[0])
        turn = np.abs(np.angle(np.exp(1j * (angles - angles[0]))))
        angles = angles[np.argsort(turn, kind="stable")]
    unit = np.column_stack([np.cos(angles), np.sin(angles)])
    # The edge of the box, seen from its centre in this direction.
    reach = np.min(half / np.maximum(np.abs(unit), 1e-9), axis=1)
    rings = [unit * (reach + distance)[:, None] for distance in DISTANCES]
    return np.concatenate(([np.zeros((1, 2))] if centred else []) + rings)


def _overlaps(candidates, boxes):
    """How many boxes each candidate overlaps."""
    low = np.maximum(candidates[:, None, 0], boxes[None, :, 0])
    high = np.minimum(candidates[:, None, 1], boxes[None, :, 1])
    return (low < high).all(axis=2).sum(axis=1).astype(float)


def _covers(candidates, points):
    """How many points each candidate covers."""
    inside = (points >= candidates[:, None, 0]) & (points <= candidates[:, None, 1])
    return inside.all(axis=2).sum(axis=1)


def _outside(candidates, frame):
    return ((candidates[:, 0] < frame[0]) | (candidates[:, 1] > frame[1])).any(axis=1)
