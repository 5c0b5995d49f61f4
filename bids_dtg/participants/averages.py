"""Which runs make one average of results, and how its files are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from bids_dtg.errors import OutputError, RunError
from bids_dtg.files.names import build_path
from bids_dtg.inputs.run import RestRun
from bids_dtg.settings import Combine

# Entities of a BOLD file that say how it was stored, not what was measured.
_STORAGE = ("space", "res", "den", "desc", "cohort", "hemi", "seg", "atlas", "scale", "stat")


@dataclass(frozen=True)
class AveragedRuns:
    """The runs behind one average of results."""

    runs: tuple[RestRun, ...]  # in the order of their names; none where no rest is read
    entities: tuple[tuple[str, str], ...]  # what the names of its files share, without space, stat…

    @property
    def participant(self) -> str:
        """Label of the participant, without sub-."""
        return dict(self.entities)["sub"]

    @property
    def title(self) -> str:
        """Name for people and for the completion record, e.g. ``sub-01_ses-1_task-rest``."""
        return "_".join(f"{key}-{value}" for key, value in self.entities)

    @property
    def by_dof(self) -> bool:
        """Whether its runs are weighted by residual degrees of freedom: all are known."""
        return all(run.dof_known for run in self.runs)


def plan_averages(runs: Sequence[RestRun], combine: Combine) -> tuple[AveragedRuns, ...]:
    """Group the runs of one participant into averages.

    Tasks are never averaged with each other. The names of an average keep the
    entities that its runs share, less ``run`` (and ``ses`` with
    ``combine="participant"``), so that a second run does not rename the first.

    Parameters
    ----------
    runs
        All runs of one participant.
    combine
        Runs to average: of each ``"run"``, ``"session"`` or ``"participant"``.

    Raises
    ------
    RunError
        A run is another participant's by its name, or no output can be named after it.
    """
    for run in runs:
        _require_nameable(run)

    def key(run: RestRun) -> tuple[str, ...]:
        if combine == "run":
            return (str(run.bold),)  # studies give files of all sessions one name
        if combine == "session":
            return (run.session or "", run.task)
        return (run.task,)

    dropped = {"run": (), "session": ("run",), "participant": ("run", "ses")}[combine]
    ordered = sorted(runs, key=lambda run: (key(run), str(run.bold)))
    return tuple(
        AveragedRuns(members, _shared_entities(members, (*_STORAGE, *dropped)))
        for _, group in groupby(ordered, key=key)
        for members in [tuple(group)]
    )


def run_entities(run: RestRun) -> dict[str, str]:
    """Return the entities that name what is written about one run."""
    return dict(_shared_entities((run,), _STORAGE))


def _require_nameable(run: RestRun) -> None:
    remedy = "rename it or take it away"
    # A copy in `sub-01 old` or in another participant's folder would replace the maps of sub-01.
    if dict(run.entities).get("sub") != run.participant:
        raise RunError(f"{run.bold} is not of sub-{run.participant} by its name", remedy=remedy)
    try:
        build_path(run_entities(run), "qc", ".tsv")
    except (ValueError, OutputError) as err:
        raise RunError(f"{run.bold} has a name that is not BIDS: {err}", remedy=remedy) from err


def _shared_entities(
    runs: tuple[RestRun, ...], dropped: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    first, *others = (dict(run.entities) for run in runs)
    return tuple(
        (name, value)
        for name, value in first.items()
        if name not in dropped and all(other.get(name) == value for other in others)
    )
