"""How strongly the network input moves a region at rest, by the region's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.latents import PARTICIPANT
from bids_dtg.dynamics.fixed_points import FixedPoints, NodeField
from bids_dtg.dynamics.model import GenerativeModel
from bids_dtg.report.pages.analysis import Scatter

Values = NDArray[np.floating[Any]]

_PICTURES = 3  # parameters, in their order
_COLUMNS = (
    PARTICIPANT,
    Column("region", "Region"),
    Column(
        "effect",
        "Derivative of the expected observation's change in a frame by the network input, at a "
        "fixed point without inputs",
        unit="1/frame",
    ),
)
_THETA = Column("theta{}", "Parameter {}, drawn from the posterior", unit="arbitrary")


def input_effects(
    model: GenerativeModel,
    region: Values,
    person: Values,
    points: FixedPoints,
    without: tuple[int, int],
) -> tuple[NDArray[np.intp], Values]:
    """Return the effect of the network input at each fixed point of regions without inputs.

    Parameters
    ----------
    model, region, person
        As for `node_fixed_points`.
    points
        What that found.
    without
        Which of its levels of the network input and of the external input are 0.

    Returns
    -------
    index
        (points, 2), number of the person and of the region.
    effect
        (points,), change of the expected observation in a frame a unit of the network input.
    """
    who, where, network, external = np.unravel_index(points.case, points.shape)
    here = (network == without[0]) & (external == without[1])
    who, where = who[here], where[here]
    field = NodeField(
        model, region[who, where], person[who], np.zeros(len(who)), np.zeros(len(who))
    )
    effect = field.by_network(points.states[here], np.arange(len(who)))
    return np.stack((who, where), -1), effect


def effect_of_input_table(
    labels: Sequence[str],
    regions: Sequence[str],
    theta: Values,
    index: NDArray[np.intp],
    effect: Values,
) -> ResultTable:
    """Return the effects, a row a fixed point; `theta` is (people, regions, parameters)."""
    names = _THETA.each(range(1, theta.shape[-1] + 1))
    rows = [
        {
            "participant_id": f"sub-{labels[person]}",
            "region": regions[region],
            "effect": float(value),
            **{
                column.name: float(own)
                for column, own in zip(names, theta[person, region], strict=True)
            },
        }
        for (person, region), value in zip(index, effect, strict=True)
    ]
    words = "Effect of the network input on single regions at rest: a row a fixed point"
    return ResultTable((*_COLUMNS, *names), rows, words)


def effect_of_input_scatters(
    theta: Values, index: NDArray[np.intp], effect: Values
) -> tuple[Scatter, ...]:
    """Return a picture a parameter, of the first three."""
    own = theta[index[:, 0], index[:, 1]]
    return tuple(
        Scatter(
            caption=f"Effect of the network input on a region at rest by θ{number + 1}: change of "
            "the expected observation in a frame, a unit of the input. A dot is a region of a "
            "person",
            x_label=f"θ{number + 1} (no unit)",
            y_label="effect of the network input (1/frame)",
            points=np.stack((own[:, number], effect), -1),
        )
        for number in range(min(_PICTURES, own.shape[-1]))
    )
