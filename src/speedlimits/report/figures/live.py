"""A figure of a training that runs: loss and speed limit so far, drawn again now and then."""

import io
import sys
import time
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from speedlimits.measured import speed_limit
from speedlimits.report.figures.overview import loss_and_accuracy, speed_limits
from speedlimits.report.figures.sheet import STYLE
from speedlimits.trajectory import Trajectory

# Least wall seconds between two drawings, and of the time in between the largest share that drawing may take.
SECONDS, SHARE = 1.0, 0.05


class LiveFigure:
    """Draws when it is due: at most once a second, and in at most a twentieth of the time.

    In a notebook it shows itself where it was made, and is replaced there. Elsewhere it is a figure to save or show.
    """

    def __init__(self) -> None:
        self.figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        FigureCanvasAgg(self.figure)
        self._next = 0.0
        self._shown: Any = None

    @property
    def due(self) -> bool:
        """Whether it is time to draw again."""
        return time.monotonic() >= self._next

    @mpl.rc_context(STYLE)
    def draw(self, run: Trajectory) -> None:
        """Draw what was seen so far.

        Args:
            run: of the records so far.
        """
        began = time.monotonic()
        self.figure.clear()
        if len(run) > 1:
            left, right = self.figure.subplots(1, 2)
            loss_and_accuracy(left, [run], "loss")
            speed_limits(right, [run], [])
        heading = str(speed_limit(run)) if len(run) > 1 else "One record so far: a path begins with the second."
        self.figure.suptitle(heading, fontsize=9, x=0.01, ha="left", parse_math=False)
        self._show()
        took = time.monotonic() - began
        self._next = time.monotonic() + max(SECONDS, took * (1 / SHARE - 1))

    def _show(self) -> None:
        notebook = sys.modules.get("IPython")
        shell = notebook.get_ipython() if notebook is not None else None
        # A terminal shows no pictures.
        if shell is None or not hasattr(shell, "kernel"):
            return
        from IPython.display import Image, display

        content = io.BytesIO()
        self.figure.savefig(content, format="png", dpi=80)
        picture = Image(content.getvalue())
        if self._shown is None:
            self._shown = display(picture, display_id=True)
        else:
            self._shown.update(picture)
