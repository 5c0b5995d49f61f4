"""Where regions of the cortex lie: the table of the Desikan-Killiany atlas that ships with this."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.text import read_packaged

_TABLE = "dk68_positions.tsv"
# A hemisphere and a region, as in ctx-lh-insula, lh_insula, L_insula, lh.insula, Left insula.
_NAME = re.compile(r"(?:ctx[-_. ])?(?P<side>l|r)(?:h|eft|ight)?[-_. ](?P<region>\w+)", re.ASCII)


def read_region_positions(regions: Sequence[str]) -> NDArray[np.float64] | None:
    """Return positions of the Desikan-Killiany atlas' regions on the template fsaverage.

    Parameters
    ----------
    regions
        Names with their hemisphere: ``ctx-lh-insula``, ``lh_insula``, ``L_insula``, ``lh.insula``,
        in any case.

    Returns
    -------
    numpy.ndarray or None
        (regions, 3), mm: to the right, to the front, up, in the coordinates of fsaverage (MNI305).
        None where `unknown_regions` has a name: another atlas brings its own positions.

    Notes
    -----
    Atlas: Desikan et al. 2006, NeuroImage 31: 968. `scripts/dk68_positions.py` makes the table,
    and says what a position is; `dk68_positions.json` beside it has source and licences.

    Examples
    --------
    >>> read_region_positions(["ctx-lh-insula", "R_insula"])
    array([[-36.2,  -3.2,   1.3],
           [ 37.1,  -1.6,   0.6]])
    >>> read_region_positions(["ctx-lh-insula", "Brain-Stem"]) is None
    True
    """
    if unknown_regions(regions):
        return None
    position = {_key(name): values for name, values in _positions().items()}
    return np.array([position[_key(name)] for name in regions]).reshape(-1, 3)


def unknown_regions(regions: Sequence[str]) -> tuple[str, ...]:
    """Return the names that are none of the Desikan-Killiany atlas, in the order given.

    Examples
    --------
    >>> unknown_regions(["lh_insula", "lh_amygdala"])
    ('lh_amygdala',)
    """
    known = {_key(name) for name in _positions()}
    return tuple(name for name in regions if _key(name) not in known)


@functools.cache
def _positions() -> Mapping[str, tuple[float, ...]]:
    """Return the position of each region of the table."""
    rows = [
        line.split("\t")
        for line in read_packaged("bids_dtg.inputs.regions", _TABLE).splitlines()[1:]
    ]
    return {name: tuple(map(float, position)) for name, *position in rows}


def _key(name: str) -> tuple[str, str]:
    """Return the side (l, r) and the region that a name says; both empty: it says none."""
    found = _NAME.fullmatch(name.strip().lower())
    return (found["side"], found["region"]) if found else ("", "")
