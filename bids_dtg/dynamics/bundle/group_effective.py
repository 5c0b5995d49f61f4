"""The training people's effective connectivity in a folder of results.

Of a few hundred regions it takes minutes, and it is the same in every call with a bundle.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_dtg.dynamics.effective_connectivity import (
    GROUP_SIZE,
    GROUP_STEPS,
    EffectiveConnectivity,
)
from bids_dtg.errors import ForeignFileError
from bids_dtg.files.tensors import read_arrays, write_arrays

GROUP_EFFECTIVE = "linear-dynamics_effective.safetensors"


def write_group_effective(path: Path, group: EffectiveConnectivity, identity: str) -> None:
    """Write the effective connectivity where everybody's starts.

    Parameters
    ----------
    path
        Path of the file.
    group
        That of the training people.
    identity
        Of the bundle that it is of.
    """
    write_arrays(path, {"coupling": group.coupling, "noise": group.noise}, _notes(identity))


def read_group_effective(path: Path, identity: str, regions: int) -> EffectiveConnectivity | None:
    """Read the effective connectivity where everybody's starts.

    Parameters
    ----------
    path
        Path of the file.
    identity, regions
        Of the bundle, and how many there are.

    Returns
    -------
    EffectiveConnectivity
        None where there is no such file, it is damaged, or it is of another bundle or fit.
    """
    try:
        arrays, notes = read_arrays(path)
        found = EffectiveConnectivity(arrays["coupling"], arrays["noise"])
    except (OSError, ValueError, KeyError, ForeignFileError):
        return None
    shapes = (found.coupling.shape, found.noise.shape)
    whole = shapes == ((regions, regions), (regions,)) and all(
        own.dtype == np.float64 and np.isfinite(own).all() for own in (found.coupling, found.noise)
    )
    return found if whole and notes == _notes(identity) and found.stationary else None


def _notes(identity: str) -> dict[str, str]:
    return {"model": identity, "steps": f"{GROUP_STEPS} of {GROUP_SIZE:g}"}
