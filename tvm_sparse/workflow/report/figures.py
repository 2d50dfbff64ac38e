"""The pictures of a report; each is a function of what was found, or says None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from tvm_sparse.precision import Precision
from tvm_sparse.workflow.folder import Result
from tvm_sparse.workflow.report.gather import Found, Made, Mask

Axes = Any

_INK, _PALE, _GRID = "#1d2733", "#aab4bf", "#e3e7ec"
_COLORS = {"search": "#0b6e99", "dp": "#5a9e3c", "rules": "#c77d0a", "uniform": "#b5405a"}
_FEWER = {8: "#c77d0a", 4: "#b5405a", 16: "#5a9e3c"}  # colors of layers, by bits
_MARKS = {"search": "o", "dp": "s", "rules": "D", "uniform": "^"}
_WIDTH = 9.0  # inches
_WINDOW = (48, 144)  # filters and weights of a mask that are shown
_MASKS = 12


def pareto(found: Found) -> Figure:
    """Return accuracy over measured latency, and the predicted front of errors."""
    figure = Figure(figsize=(_WIDTH, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    dense = found.made[0].verified["dense"] * 1e3
    left.plot(dense, found.train["accuracy"] * 100, "*", color=_INK, markersize=12)
    _label(left, "dense", dense, found.train["accuracy"] * 100)
    for turn, strategy in enumerate(dict.fromkeys(one.strategy for one in found.made)):
        mine = sorted(
            (one.verified["sparse"] * 1e3, one.verified["accuracy"] * 100, one.name)
            for one in found.made
            if one.strategy == strategy
        )
        style = {"color": _color(strategy), "marker": _MARKS.get(strategy, "o")}
        left.plot([m[0] for m in mine], [m[1] for m in mine], "-", label=strategy, **style)
        for ms, share, name in mine:
            _label(left, name.split()[1], ms, share, above=turn % 2 == 0)
    left.set(xlabel="measured latency, ms", ylabel="test accuracy, %", title="what was built")
    shares = [found.train["accuracy"], *(one.verified["accuracy"] for one in found.made)]
    room = 100 * max(0.3 * (max(shares) - min(shares)), 0.005)
    left.set_ylim(100 * min(shares) - room, 100 * max(shares) + room)
    left.set_xlim(0, 1.15 * max(dense, *(one.verified["sparse"] * 1e3 for one in found.made)))
    left.legend(frameon=False, loc="lower right")
    _front(right, found.made)
    for axes in (left, right):
        _clean(axes)
    return figure


def layers(found: Found) -> Figure:
    """Return each layer's time, dense and planned, with its scheme."""
    rows = found.made[0].layers
    figure = Figure(figsize=(_WIDTH, 1.2 + 0.34 * len(rows)), layout="constrained")
    axes = figure.subplots()
    at = np.arange(len(rows))
    dense = [row["dense"] * 1e3 for row in rows]
    mine = [row["measured"] * 1e3 for row in rows]
    axes.barh(at - 0.19, dense, 0.36, color=_PALE, label="dense, from the table")
    for bits, color in {32: _COLORS["search"], **_FEWER}.items():
        name = f"planned{_precision(bits, ', ')}"
        some = [place for place, row in enumerate(rows) if row["bits"] == bits]
        if some:
            bars = [mine[place] for place in some]
            axes.barh(at[some] + 0.19, bars, 0.36, color=color, label=f"{name}, measured")
    for place, row in enumerate(rows):
        most = max(row["dense"], row["measured"]) * 1e3
        axes.text(most, place, f"  {_about(row)}", va="center", fontsize=8, color=_INK)
    axes.set_yticks(at, [row["name"] for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(right=1.5 * max([*dense, *mine]))
    axes.set(xlabel="ms", title=f"{found.made[0].name}: what each layer got")
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    _clean(axes, "x")
    return figure


def accuracy_of_predictions(found: Found) -> Figure:
    """Return predicted over measured times, of kernels and of whole networks."""
    figure = Figure(figsize=(_WIDTH, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    kernels = [one for made in found.made for one in made.verified["kernels"]]
    groups = {
        "layer, a measured cell": [k for k in kernels if k["stored"] and k["known"]],
        "layer, predicted": [k for k in kernels if k["stored"] and not k["known"]],
        "other operator": [k for k in kernels if not k["stored"]],
    }
    colors = (_COLORS["search"], _COLORS["uniform"], _PALE)
    for (name, group), color in zip(groups.items(), colors, strict=True):
        measured, predicted = ([k[what] * 1e6 for k in group] for what in ("measured", "predicted"))
        left.plot(measured, predicted, ".", color=color, label=name, alpha=0.8)
    _band(left, [k["measured"] * 1e6 for k in kernels])
    left.set(xscale="log", yscale="log", xlabel="measured, µs", ylabel="predicted, µs")
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_locator(NullLocator())
    left.set_title("kernels")
    for turn, made in enumerate(found.made):
        x, y = made.verified["sparse"] * 1e3, made.verified["predicted"] * 1e3
        right.plot(x, y, _MARKS.get(made.strategy, "o"), color=_color(made.strategy))
        _label(right, f"{made.name} ({y / x - 1:+.0%})", x, y, above=turn % 2 == 0)
    _band(right, [made.verified["sparse"] * 1e3 for made in found.made])
    right.set(xlabel="measured, ms", ylabel="predicted, ms", title="whole networks")
    right.margins(0.2)
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8, loc="upper left")
        _clean(axes)
    return figure


def masks(found: Found) -> Figure | None:
    """Return a corner of each pruned layer's mask: weights that are left are dark."""
    made = found.made[0]
    names = [name for name in made.plan if name in made.masks][:_MASKS]
    if not names:
        return None
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(_WIDTH, 0.5 + 1.55 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.axis("off")
    for axes, name in zip(grid, names, strict=False):
        _mask(axes, made.masks[name], name, str(made.plan[name]).removesuffix("/32"))
    filters, weights = _WINDOW
    figure.suptitle(
        f"the first {filters} filters (rows) × {weights} weights (columns) of each layer",
        fontsize=10,
    )
    return figure


def curves(found: Found) -> Figure | None:
    """Return accuracies over epochs, and the best time over tuning trials."""
    tuned = [made for made in found.made if made.tuned["curve"]]
    trained = [made for made in found.made if made.fine_tuned["curve"]]
    if not trained and not found.train["curve"] and not tuned:
        return None
    figure = Figure(figsize=(_WIDTH, 3.6), layout="constrained")
    panels = figure.subplots(1, 2 if tuned else 1, squeeze=False).ravel()
    left, right = panels[0], panels[-1]
    _epochs(left, found.train["curve"], "dense", _INK)
    for made in trained:
        start = [{"accuracy": made.pruned["accuracy"]}]
        _epochs(left, [*start, *made.fine_tuned["curve"]], made.name, _color(made.strategy), 0)
    left.set(xlabel="epoch", ylabel="test accuracy, %", title="training and fine-tuning")
    for made in tuned:
        done = [point["done"] for point in made.tuned["curve"]]
        best = [point["milliseconds"] for point in made.tuned["curve"]]
        right.step(done, best, where="post", label=made.name, color=_color(made.strategy))
    if tuned:
        right.set(xlabel="kernels measured", ylabel="best so far, ms", title="tuning")
    for axes in panels:
        axes.legend(frameon=False, fontsize=8)
        _clean(axes)
    return figure


FIGURES: dict[str, Callable[[Found], Figure | None]] = {
    "pareto": pareto,
    "layers": layers,
    "predictions": accuracy_of_predictions,
    "masks": masks,
    "curves": curves,
}


def _front(axes: Axes, made: Sequence[Made]) -> None:
    """Draw the least error for each predicted time, and where the plans are."""
    front = np.array(made[0].planned["front"])
    axes.plot(front[:, 0] * 1e3, front[:, 1], "-", color=_PALE, label="least sum of errors")
    for one in made:
        style = {"color": _color(one.strategy), "marker": _MARKS.get(one.strategy, "o")}
        axes.plot(one.plan.seconds * 1e3, one.plan.error, linestyle="", **style)
        _label(axes, one.name, one.plan.seconds * 1e3, one.plan.error)
    axes.set(
        xlabel="predicted latency, ms", ylabel="sum of layers' errors", title="what was chosen"
    )
    axes.set_xlim(0, 1.2 * front[:, 0].max() * 1e3)
    axes.legend(frameon=False)


def _about(row: Result) -> str:
    """Return a layer's scheme, bits and measured time."""
    scheme = "dense" if row["scheme"].startswith("dense") else row["scheme"]
    return f"{scheme}{_precision(row['bits'], ' ')}: {row['measured'] * 1e3:.3g} ms"


def _precision(bits: int, before: str) -> str:
    """Return e.g. ``int8`` with a text before it; nothing of floats."""
    return "" if bits == 32 else f"{before}{Precision.parse(bits).name}"


def _mask(axes: Axes, mask: Mask, name: str, scheme: str) -> None:
    shown = mask[: _WINDOW[0], : _WINDOW[1]]
    axes.imshow(
        shown,
        cmap=ListedColormap(["#edf1f5", _COLORS["search"]]),
        aspect="auto",
        interpolation="nearest",
        vmin=0,
        vmax=1,
    )
    axes.set_title(f"{name}\n{scheme}: {1 - mask.mean():.0%} zeros", fontsize=7.5)
    axes.set_xticks([])
    axes.set_yticks([])


def _epochs(axes: Axes, curve: Sequence[Any], name: str, color: str, first: int = 1) -> None:
    at = range(first, first + len(curve))
    axes.plot(at, [point["accuracy"] * 100 for point in curve], ".-", label=name, color=color)


def _band(axes: Axes, values: Sequence[float]) -> None:
    """Draw where predictions are right, and where they are off by 10 %."""
    ends = np.array([min(values) * 0.8, max(values) * 1.2])
    axes.plot(ends, ends, "-", color=_INK, linewidth=0.8)
    axes.fill_between(ends, 0.9 * ends, 1.1 * ends, color=_GRID, zorder=0, label="±10 %")


def _label(axes: Axes, text: str, x: float, y: float, above: bool = True) -> None:
    offset = (5, 4 if above else -12)
    axes.annotate(text, (x, y), offset, textcoords="offset points", fontsize=8, color=_INK)


def _color(strategy: str) -> str:
    return _COLORS.get(strategy, _INK)


def _clean(axes: Axes, grid: str = "both") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis=grid, color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
