"""States behind a measured series and behind a simulated one, in the plane of two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.latents import PARTICIPANT
from bids_dtg.dynamics.inference import Inferred, draw_states
from bids_dtg.dynamics.measures import zero_crossings
from bids_dtg.dynamics.model import GenerativeModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.simulation import draw, run_states
from bids_dtg.report.pages.analysis import Lines, PageSection

Values = NDArray[np.floating[Any]]

_KINDS = ("inferred", "simulated")
_SHOWN = 60  # frames of the picture: longer paths cover each other
_FEWEST_STATES = 2  # that have a plane
_ROWS = (
    PARTICIPANT,
    Column("region", "Region"),
    Column("states", "Where the states come from: inferred from the series, or simulated"),
    Column("seconds", "Time from the first frame", unit="s"),
)
_STATE = Column("x{}", "State {} of the model, in its own order", unit="arbitrary")


@dataclass(frozen=True, eq=False)
class StatePlane:
    """Inferred and simulated states of one region of one person."""

    label: str  # the person
    region: str
    tr_seconds: float
    paths: dict[str, Values]  # by kind, (frames, states)
    shares: Values  # (states,), of the variance of the inferred observation

    @classmethod
    def of(
        cls,
        model: GenerativeModel,
        networks: Networks,
        inferred: Inferred,
        known: tuple[str, ...],
        seed: int,
    ) -> StatePlane | None:
        """Infer and simulate the states of the first person; None where there is one state.

        The region is the one with the median number of zero-crossings. Both paths are one draw: of
        the posterior, and of a simulation with parameters and first states of the posterior.
        """
        if model.recipe.states < _FEWEST_STATES:
            return None
        person = networks.of(networks.people[:1])
        crossings = zero_crossings(person.series[0])
        at = int(np.argsort(crossings)[len(crossings) // 2])
        rng = np.random.default_rng(seed)
        own = draw_states(model, person, known, rng=rng)[:, at]
        drop = person.frames // 2
        drawn = draw(model, person, inferred, 1, person.frames + drop, seed)
        simulated = run_states(model, drawn, person.weights, drop=drop)[0, 0, :, at]
        weights = model.observation.weight.detach().cpu().double().numpy()[0]
        variance = np.square(weights) * own.var(axis=0)
        return cls(
            label=person.people[0],
            region=person.regions[at],
            tr_seconds=person.tr_seconds,
            paths=dict(zip(_KINDS, (own, np.asarray(simulated, np.float64)), strict=True)),
            shares=variance / variance.sum(),
        )

    def table(self) -> ResultTable:
        """Return all states, a row a frame of each path."""
        names = range(1, len(self.shares) + 1)
        rows = [
            {
                "participant_id": f"sub-{self.label}",
                "region": self.region,
                "states": kind,
                "seconds": frame * self.tr_seconds,
                **{f"x{name}": float(value) for name, value in zip(names, state, strict=True)},
            }
            for kind, path in self.paths.items()
            for frame, state in enumerate(path)
        ]
        words = "States of one region of one participant: a row a frame"
        return ResultTable((*_ROWS, *_STATE.each(names)), rows, words)

    def section(self) -> PageSection:
        """Return the part of the page."""
        first, second = np.argsort(-self.shares, kind="stable")[:2]
        frames = min(_SHOWN, *(len(path) for path in self.paths.values()))
        last = {kind: path[-frames:] for kind, path in self.paths.items()}
        reach = [(min(ends), max(ends)) for ends in _ends(last, (first, second))]
        return PageSection(
            title="States of one region",
            text=(
                f"The states of {self.region} of sub-{self.label}, the first participant's region "
                "with the median number of zero-crossings: one draw from what the model infers "
                "from the measured series, and one simulation without any series, after "
                "half a session that is not shown. The axes are the two states that "
                "the observation depends on most "
                f"({self.shares[first]:.0%} and {self.shares[second]:.0%} of its inferred "
                "variance).".replace("%", " %"),
            ),
            lines=tuple(
                Lines(
                    caption=f"Phase plane: states {_ORIGIN[kind]}, {frames} frames "
                    f"({frames * self.tr_seconds:.0f} s), no unit",
                    x_label=f"x{first + 1} (no unit)",
                    y_label=f"x{second + 1} (no unit)",
                    series={"": (path[:, first], path[:, second])},
                    x_reach=reach[0],
                    y_reach=reach[1],
                )
                for kind, path in last.items()
            ),
        )


# Words of the captions, by kind.
_ORIGIN = {
    "inferred": "inferred from the measured series",
    "simulated": "simulated by the model",
}


def _ends(paths: dict[str, Values], columns: tuple[int, ...]) -> list[Values]:
    """Return the known values of all paths in each of some columns."""
    every = np.concatenate(list(paths.values()))
    return [every[np.isfinite(every[:, column]), column] for column in columns]
