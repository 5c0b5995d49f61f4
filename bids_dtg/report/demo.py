"""What demos share: the way from simulated people to a picture, and the sheet it is drawn on."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bids_dtg.extras import install_line, require
from bids_dtg.files.atomic import write_atomic
from bids_dtg.notices import counted, duration, say, show

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

SIMULATED, TABLE = "simulated", "demo.tsv"  # below the folder of a demo
_PICTURE = "demo.png"
_WIDTH_INCHES, _DPI = 13.0, 110

People = TypeVar("People")
Made = TypeVar("Made")


def run_fitted_demo(
    out: Path,
    *,
    model: str,
    participants: int,
    simulate: Callable[[Path], People],
    fit: Callable[[People], Made],
    compare: Callable[[Made], None],
    draw: Callable[[Made], bytes | None],
) -> None:
    """Simulate people, fit a model to them, compare it with the truth, draw.

    Parameters
    ----------
    out
        New or empty folder for the demo's output.
    model
        Words for the line of progress, e.g. "digital twin".
    participants
        How many people are simulated.
    simulate
        Writes people into a folder, and returns them.
    fit
        Function that fits the model.
    compare
        Writes `TABLE`, and prints how well the model does.
    draw
        Returns a picture; None if matplotlib is not installed.

    Raises
    ------
    SettingsError
        A package is missing.
    """
    require(
        f"the demo of the {model}",
        *("torch", "lightning"),
        extra="train",
        otherwise="--workflow contrasts, which needs none",
    )
    start = time.perf_counter()
    people = simulate(out / SIMULATED)
    show(f"{counted(participants, 'simulated participant')} in {out / SIMULATED}")
    made = fit(people)
    compare(made)
    show(f"table: {out / TABLE}")
    keep_picture(out, draw(made))
    say(f"done in {duration(time.perf_counter() - start)}")


def keep_picture(out: Path, picture: bytes | None) -> None:
    """Write the picture of a demo, and say where it is, or why there is none."""
    if picture is None:
        show(f"no picture: matplotlib is not installed ({install_line('report')})")
        return
    write_atomic(out / _PICTURE, picture)
    show(f"picture: {out / _PICTURE}")


def draw_two_rows(
    draw: Callable[[SubFigure, SubFigure], None],
    *,
    title: str,
    height_inches: float,
    heights: tuple[float, float],
) -> bytes | None:
    """Draw a picture of two rows.

    Parameters
    ----------
    draw
        Fills the upper and the lower row.
    title
        Text above the picture.
    height_inches
        Height of the whole picture, in inches.
    heights
        Of the rows, relative to each other.

    Returns
    -------
    bytes or None
        A PNG file; None if matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(_WIDTH_INCHES, height_inches), layout="constrained")
    figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    grid = figure.add_gridspec(2, 1, height_ratios=heights)
    draw(figure.add_subfigure(grid[0, 0]), figure.add_subfigure(grid[1, 0]))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    plt.close(figure)
    return buffer.getvalue()
