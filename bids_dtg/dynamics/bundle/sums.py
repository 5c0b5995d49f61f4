"""Files of a linear core's sums over people, which sites exchange in place of series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.site_sums import SumsFile
from bids_dtg.dynamics.lag_covariances import LAGS, GroupSums
from bids_dtg.dynamics.linear import GRID, JUDGES, SiteSums, StrengthScores
from bids_dtg.notices import counted

SUMS = "linear-dynamics_sums.safetensors"  # in a model's folder
_SUMS = SumsFile(
    kind="a linear core",
    name=SUMS,
    arrays=("covariances", "dof", "densities", "frame_densities", "fits", "judged"),
    over="regions, in their order, and time between frames",
)
# Sums over people in double precision differ from whole numbers by less, for each person.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class SumsSpace:
    """What sums of two sites must share to be added."""

    regions: tuple[str, ...]  # names
    tr_seconds: float  # time between frames

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of the file."""
        return {
            "list of regions": list(self.regions),
            # As exact as headers of images are.
            "time between frames": round(self.tr_seconds, 3),
        }


@dataclass(frozen=True, eq=False)
class _Arrays:
    """The arrays of a file."""

    covariances: NDArray[np.float64]  # (lags + 1, regions, regions), sum over people
    dof: NDArray[np.float64]  # (1,), degrees of freedom of all people
    densities: NDArray[np.float64]  # (rows, grid), as `StrengthScores`
    frame_densities: NDArray[np.float64]  # (rows, grid)
    fits: NDArray[np.float64]  # (rows, grid)
    judged: NDArray[np.int64]  # (rows,)


def write_sums(path: Path, sums: SiteSums, space: SumsSpace, people: Sequence[str]) -> None:
    """Write the sums of a site's people.

    Parameters
    ----------
    path
        Path of the file.
    sums
        Of one's own people, without those of other sites.
    space
        What they belong to.
    people
        What each is known again by; it is written as a hash.
    """
    arrays = _Arrays(
        sums.group.total,
        np.array([sums.group.dof]),
        sums.scores.densities,
        sums.scores.frame_densities,
        sums.scores.fits,
        sums.scores.judged,
    )
    _SUMS.write(path, arrays, space.facts, people)


def read_sums(path: Path, space: SumsSpace) -> tuple[SiteSums, tuple[str, ...]]:
    """Read a file of sums, and the hashes of its people.

    Raises
    ------
    BundleError
        The file is damaged, its sums are of other regions or another time between frames, or they
        cannot belong to its people.
    """
    arrays, people = _SUMS.read(path, space.facts)
    regions, count = len(space.regions), len(people)
    scores = (len(JUDGES), len(GRID))
    shapes = {
        "covariances": ("f", (LAGS + 1, regions, regions)),
        "dof": ("f", (1,)),
        "densities": ("f", scores),
        "frame_densities": ("f", scores),
        "fits": ("f", scores),
        "judged": ("i", scores[:1]),
    }
    _SUMS.check_shapes(path, arrays, shapes)
    _SUMS.check_counts(path, arrays, {"judged": count})
    total, dof = arrays["covariances"], float(arrays["dof"][0])
    if not dof > 0:
        raise _SUMS.error(path, f"dof is {dof:g} of {counted(count, 'participant')}")
    if np.abs(total[0].diagonal() - count).max() > _ROUNDING * count:
        raise _SUMS.error(path, "covariances are not those of regions with variance 1")
    if np.abs(total).max() > (1 + _ROUNDING) * count or not _is_positive(total / count):
        raise _SUMS.error(path, "covariances are those of no process")
    group = GroupSums(total, count, dof)
    fields = (arrays[name] for name in ("densities", "frame_densities", "fits", "judged"))
    return SiteSums(group, StrengthScores(*fields)), people


def _is_positive(covariances: NDArray[np.float64]) -> bool:
    """Return whether covariances of frame and lags are those of a stationary process."""
    lags = range(len(covariances))
    joint = np.block(
        [[covariances[c - r] if c >= r else covariances[r - c].T for c in lags] for r in lags]
    )
    if np.abs(joint - joint.T).max() > _ROUNDING:
        return False
    try:
        np.linalg.cholesky(joint + _ROUNDING * np.eye(len(joint)))
    except np.linalg.LinAlgError:
        return False
    return True


def other_sums(
    files: Sequence[str], space: SumsSpace, own: Sequence[str] = ()
) -> Iterator[SiteSums]:
    """Read other sites' sums one by one; refuse people who are in `own` or in two files.

    Parameters
    ----------
    files
        As ``--add-sums`` names them.
    space
        What they must belong to.
    own
        Hashes of one's own people.

    Raises
    ------
    BundleError
        As `read_sums`, or somebody would be added twice.
    """
    known = list(own)
    for name in files:
        sums, whose = read_sums(Path(name), space)
        _SUMS.require_others(Path(name), whose, known)
        known += whose
        yield sums
