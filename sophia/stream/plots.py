"""Plots of a report as inline SVG whose colours and fonts are those of the page."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import tempfile
from ast import literal_eval
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Plots", "plots"]

# What matplotlib draws in these colours gets the page's colour of the name: so one drawing is right in the light,
# in the dark and on paper.
_COLOURS = {
    "ink": "#010101",
    "dim": "#020202",
    "rule": "#030303",
    "reflex": "#040404",
    "cortical": "#050505",
    "deep_thought": "#060606",
    "novel": "#070707",
    "danger": "#080808",
}
_SIZE = (9.0, 2.9)
_STYLE: dict[Any, Any] = {
    "figure.dpi": 72,
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: measures the labels, the page chooses the font
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _COLOURS["dim"],
    "axes.labelcolor": _COLOURS["dim"],
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _COLOURS["rule"],
    "grid.linewidth": 0.8,
    "text.color": _COLOURS["ink"],
    "xtick.color": _COLOURS["dim"],
    "ytick.color": _COLOURS["dim"],
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
_DASHES = {"reflex": "-", "cortical": (0, (5, 2)), "deep_thought": (0, (1.5, 1.5))}


@contextmanager
def plots(folder: Path) -> Iterator[Plots]:
    """The plots, with matplotlib loaded such that it writes nowhere but to a folder inside `folder`, then removed.

    A process that has matplotlib loaded already keeps its own.
    """
    with tempfile.TemporaryDirectory(prefix=".plots-", dir=folder) as private:
        before = os.environ.get("MPLCONFIGDIR")
        os.environ["MPLCONFIGDIR"] = private
        try:
            _spare_the_font_search(Path(private))
            import matplotlib

            _add_shipped_font()
            with matplotlib.rc_context():
                matplotlib.rcdefaults()  # a matplotlibrc of the user's is for the user's plots
                matplotlib.rcParams.update(_STYLE)
                yield Plots()
        finally:
            if before is None:
                del os.environ["MPLCONFIGDIR"]
            else:
                os.environ["MPLCONFIGDIR"] = before


class Plots:
    """Draws; each method gives the text of one ``<svg>`` element with `label` as its name."""

    def shares(self, name: str, label: str, edges: Sequence[int], parts: dict[str, Sequence[float]]) -> str:
        """Shares of a whole over the stream, stacked."""
        totals = [max(sum(values), 1e-9) for values in zip(*parts.values(), strict=True)]

        def draw(axes: Axes) -> None:
            base = [0.0] * len(totals)
            for part, values in parts.items():
                top = [b + 100 * v / t for b, v, t in zip(base, values, totals, strict=True)]
                axes.stairs(top, edges, baseline=base, fill=True, color=_COLOURS[part], alpha=0.9, linewidth=0)
                base = top
            axes.set(ylim=(0, 100), ylabel="share, %", xlabel="input", xlim=(edges[0], edges[-1]))

        return self._figure(name, label, draw)

    def bars(self, name: str, label: str, edges: Sequence[int], values: Sequence[float], colour: str, what: str) -> str:
        """A count over the stream."""

        def draw(axes: Axes) -> None:
            axes.stairs(values, edges, fill=True, color=_COLOURS[colour], linewidth=0)
            axes.set(ylabel=what, xlabel="input", xlim=(edges[0], edges[-1]), ylim=(0, 1.08 * max([*values, 1])))

        return self._figure(name, label, draw)

    def steps(
        self, name: str, label: str, edges: Sequence[int], values: Sequence[float], colour: str, what: str
    ) -> str:
        """A level over the stream."""

        def draw(axes: Axes) -> None:
            axes.stairs(values, edges, color=_COLOURS[colour], linewidth=2, baseline=None)
            axes.set(ylabel=what, xlabel="input", xlim=(edges[0], edges[-1]), ylim=(0, 1.08 * max([*values, 1e-9])))

        return self._figure(name, label, draw)

    def course(
        self,
        name: str,
        label: str,
        edges: Sequence[int],
        rows: Sequence[tuple[float, float] | None],
        marks: Sequence[tuple[int, float]],
        what: str,
    ) -> str:
        """A number over the stream, between its least and its largest of each stretch; gaps stay open."""
        nothing = float("nan")
        least, largest = ([nothing if row is None else row[i] for row in rows] for i in (0, 1))

        def draw(axes: Axes) -> None:
            axes.stairs(largest, edges, baseline=least, fill=True, color=_COLOURS["reflex"], alpha=0.45, linewidth=0)
            for values in (least, largest):
                axes.stairs(values, edges, color=_COLOURS["reflex"], linewidth=1.2, baseline=None)
            if marks:
                places, numbers = zip(*marks, strict=True)
                axes.plot(places, numbers, "o", color=_COLOURS["danger"], markersize=7, fillstyle="none", mew=2)
            axes.set(ylabel=what, xlabel="input", xlim=(edges[0], edges[-1]))

        return self._figure(name, label, draw)

    def spans(
        self, name: str, label: str, rows: Sequence[tuple[str, int, int]], joints: Sequence[int], last: int
    ) -> str:
        """For each row its name, and from where to where it came; `joints` are lines across."""

        def draw(axes: Axes) -> None:
            for i, (_, start, stop) in enumerate(rows):
                axes.plot([start, max(stop, start + last / 400)], [i, i], color=_COLOURS["reflex"], linewidth=5)
            for joint in joints:
                axes.axvline(joint, color=_COLOURS["dim"], linewidth=1, linestyle=(0, (4, 3)))
            axes.grid(visible=False)
            axes.set(ylabel="pattern", xlabel="input", xlim=(1, last), ylim=(len(rows) - 0.5, -0.5))
            axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=9)

        return self._figure(name, label, draw, thousands="x", height=max(2.0, 0.9 + 0.2 * len(rows)))

    def spread(self, name: str, label: str, edges: Sequence[float], parts: dict[str, Sequence[float]]) -> str:
        """How often values of each size came, on a logarithmic axis."""

        def draw(axes: Axes) -> None:
            for part, values in parts.items():
                axes.stairs(values, edges, fill=True, color=_COLOURS[part], alpha=0.18, linewidth=0)
                axes.stairs(values, edges, color=_COLOURS[part], linewidth=2, linestyle=_DASHES[part])
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            axes.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if edges[-1] / edges[0] < 30 else "")
            axes.set(ylabel="inputs", xlabel="microseconds", xlim=(edges[0], edges[-1]))

        return self._figure(name, label, draw, thousands="y")

    @staticmethod
    def _figure(
        name: str, label: str, draw: Callable[[Axes], None], thousands: str = "xy", height: float = _SIZE[1]
    ) -> str:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=(_SIZE[0], height), layout="tight")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        draw(axes)
        for axis in thousands:
            part = axes.xaxis if axis == "x" else axes.yaxis
            part.set_major_locator(MaxNLocator(6 if axis == "x" else 4, steps=[1, 2, 2.5, 5, 10], min_n_ticks=1))
            part.set_major_formatter(lambda value, _: f"{value:,.10g}")
        with matplotlib.rc_context({"svg.hashsalt": name}):  # equal numbers, equal bytes
            text = io.StringIO()
            figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
        return _inline(text.getvalue(), name, label)


def _inline(svg: str, name: str, label: str) -> str:
    """An SVG file as an element of a page: its colours are the page's, its ids its own, its size the column's."""
    from markupsafe import escape

    svg = svg[svg.index("<svg") :]
    start = svg.index(">") + 1
    box = re.search(r'viewBox="([^"]*)"', svg[:start])
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[start:], flags=re.S)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.S)
    body = body.replace("xlink:href", "href")
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', body))
    kept = {a or b for a, b in used}
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in kept else "", body)
    body = re.sub(r'href="#|url\(#', lambda m: f"{m[0]}{name}-", body)
    body = re.sub(r"<style.*?</style>\s*|<defs>\s*</defs>\s*", "", body, flags=re.S)
    body = re.sub(r"font: (?:[^;\"]*? )?([\d.]+px) [^;\"]*", r"font-size: \1", body)
    body = re.sub(r"font-family: [^;\"]*; ?", "", body)
    body = re.sub(r"\n\s*", "\n", body)
    for colour, drawn in _COLOURS.items():
        body = body.replace(drawn, f"var(--{colour.replace('_', '-')})")
    return (
        f'<svg viewBox="{box[1] if box else "0 0 648 209"}" role="img" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>{body}"
    )


def _spare_the_font_search(folder: Path) -> None:
    """Puts an empty list of fonts where matplotlib looks for one before it opens every font of the machine.

    On a desktop that search takes seconds, and the page's labels need one font, which matplotlib ships. A
    matplotlib that keeps its list in another way does not find this one, and searches.
    """
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        return
    try:
        source = (Path(found.origin).parent / "font_manager.py").read_text(encoding="utf-8")
    except OSError:
        return
    version = re.search(r"^    __version__ = ([\w.'\"]+)$", source, re.M)
    if version is None:
        return
    number: Any = literal_eval(version[1])
    fonts = {
        "__class__": "FontManager",
        "_version": number,
        "_FontManager__default_weight": "normal",
        "default_size": None,
        "defaultFamily": {"ttf": "DejaVu Sans", "afm": "Helvetica"},
        "afmlist": [],
        "ttflist": [],
    }
    (folder / f"fontlist-v{number}.json").write_text(json.dumps(fonts), encoding="utf-8")


def _add_shipped_font() -> None:
    import matplotlib
    from matplotlib.font_manager import fontManager

    if not any(font.name == "DejaVu Sans" for font in fontManager.ttflist):
        fontManager.addfont(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
