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
from bids_dtg.dynamics.parameter_effects import spearman_by_parameter
from bids_dtg.report.pages.analysis import Scatter

Values = NDArray[np.floating[Any]]

_STABILITY, _NETWORK, _EXTERNAL = "largest_real_part", "network_effect", "external{}_effect"
_FEWEST_REGIONS = 3  # with which a rank correlation says anything
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
        measures = {_STABILITY: points.eigenvalues[here].real.max(axis=1)}
        for number, effect in enumerate(field.by_external(*at).T, 1):
            measures[_EXTERNAL.format(number)] = effect
        measures[_NETWORK] = field.by_network(*at)
        return cls(np.stack((who, where), -1), theta[who, where], measures)

    def table(self, labels: Sequence[str], regions: Sequence[str]) -> ResultTable:
        """Return the measures, a row a fixed point."""
        columns = [Column(name, words, unit="1/frame") for name, words in self._words().items()]
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
        """Return a picture a measure: by the parameter that orders it best.

        A measure without variation, and measures of few regions, have none.
        """
        if len(np.unique(self.index, axis=0)) < _FEWEST_REGIONS:
            return ()
        pictures = []
        for name, words in self._words().items():
            values = self.measures[name]
            if np.ptp(values) == 0:
                continue
            rho = spearman_by_parameter(self.theta, values)
            number = int(np.nanargmax(np.abs(rho)))
            said = f"{rho[number]:.2f}".replace("-", "\N{MINUS SIGN}")
            pictures.append(
                Scatter(
                    caption=f"{words} at fixed points without inputs, by θ{number + 1}, the "
                    f"parameter with the largest Spearman's rho in size ({said}). A dot is a "
                    "fixed point of a region of a person",
                    x_label=f"θ{number + 1} (no unit)",
                    y_label=f"{words[0].lower()}{words[1:]} (1/frame)",
                    points=np.stack((self.theta[:, number], values), -1),
                )
            )
        return tuple(pictures)

    def _words(self) -> dict[str, str]:
        """Return the measures in words, by name."""
        external = [name for name in self.measures if name not in (_STABILITY, _NETWORK)]
        which = "external input {}" if len(external) > 1 else "the external input"
        return {
            _STABILITY: "Largest real part of the eigenvalues",
            **{
                name: f"Effect of {which.format(number)}" for number, name in enumerate(external, 1)
            },
            _NETWORK: "Effect of the network input",
        }
