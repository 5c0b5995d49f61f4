"""How a region responds near its fixed points, by its parameters: stability, effects of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.latents import PARTICIPANT
from bids_dtg.dynamics.fixed_points import FixedPoints, NodeField
from bids_dtg.dynamics.model import GenerativeModel
from bids_dtg.dynamics.parameter_effects import rank_correlation
from bids_dtg.report.pages.analysis import Scatter

Values = NDArray[np.floating[Any]]

_EFFECT = "Derivative of the expected observation's change in a frame by the {} input"
_MEASURES = {
    "largest_real_part": "Largest real part of the eigenvalues",
    "external_effect": _EFFECT.format("external"),
    "network_effect": _EFFECT.format("network"),
}
# The same on pages.
_WORDS = {
    "largest_real_part": "largest real part of the eigenvalues",
    "external_effect": "effect of the external input",
    "network_effect": "effect of the network input",
}
_WHO = (PARTICIPANT, Column("region", "Region"))
_THETA = Column("theta{}", "Parameter {}, drawn from the posterior", unit="arbitrary")


@dataclass(frozen=True, eq=False)
class Responses:
    """Measures at the fixed points of single regions without inputs."""

    index: NDArray[np.intp]  # (points, 2), number of the person and of the region
    theta: Values  # (points, region parameters), in the order of tables
    measures: dict[str, Values]  # by name: (points,)

    @classmethod
    def of(
        cls,
        model: GenerativeModel,
        region: Values,
        person: Values,
        points: FixedPoints,
        without: tuple[int, int],
        theta: Values,
    ) -> Responses:
        """Linearise the transition at each fixed point (Sip et al., 2023 [1]_, figure S14).

        Parameters
        ----------
        model, region, person
            As for `node_fixed_points`.
        points
            What that found.
        without
            Which of its levels of the network input and of the external input are 0.
        theta
            (people, regions, parameters), `region` in the order and with the signs of tables.

        Returns
        -------
        Responses
            A model without an external input has no `external_effect`. Of several external inputs,
            which all have the same value, it is that of all together.

        References
        ----------
        .. [1] Sip V, et al. Science Advances 9, eabq7547 (2023). doi:10.1126/sciadv.abq7547
        """
        who, where, network, external = np.unravel_index(points.case, points.shape)
        here = (network == without[0]) & (external == without[1])
        who, where = who[here], where[here]
        none = np.zeros(len(who))
        field = NodeField(model, region[who, where], person[who], none, none)
        at = points.states[here], np.arange(len(who))
        measures = {
            "largest_real_part": points.eigenvalues[here].real.max(axis=1),
            "external_effect": field.by_external(*at),
            "network_effect": field.by_network(*at),
        }
        if not model.recipe.external_inputs:
            del measures["external_effect"]
        return cls(np.stack((who, where), -1), theta[who, where], measures)

    def table(self, labels: Sequence[str], regions: Sequence[str]) -> ResultTable:
        """Return the measures, a row a fixed point."""
        columns = [Column(name, _MEASURES[name], unit="1/frame") for name in self.measures]
        names = _THETA.each(range(1, self.theta.shape[-1] + 1))
        rows = [
            {
                "participant_id": f"sub-{labels[person]}",
                "region": regions[region],
                **{name: float(values[row]) for name, values in self.measures.items()},
                **{
                    column.name: float(own)
                    for column, own in zip(names, self.theta[row], strict=True)
                },
            }
            for row, (person, region) in enumerate(self.index)
        ]
        words = "Single regions near their fixed points without inputs: a row a fixed point"
        return ResultTable((*_WHO, *columns, *names), rows, words)

    def scatters(self) -> tuple[Scatter, ...]:
        """Return a picture a measure: by the parameter whose rho with it is largest in size."""
        pictures = []
        for name, values in self.measures.items():
            if len(values) < 2 or np.ptp(values) == 0:
                continue  # nothing depends on a parameter
            rho = rank_correlation(self.theta, values)
            number = int(np.nanargmax(np.abs(rho)))
            said = f"{rho[number]:.2f}".replace("-", "\N{MINUS SIGN}")
            pictures.append(
                Scatter(
                    caption=f"{_WORDS[name].capitalize()} at fixed points without inputs, by "
                    f"θ{number + 1}, whose rho with it is the largest in size ({said}). A dot is a "
                    "region of a person",
                    x_label=f"θ{number + 1} (no unit)",
                    y_label=f"{_WORDS[name]} (1/frame)",
                    points=np.stack((self.theta[:, number], values), -1),
                )
            )
        return tuple(pictures)
