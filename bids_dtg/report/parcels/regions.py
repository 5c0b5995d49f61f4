"""Order in which regions are drawn, and their labels: by network or by hemisphere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from bids_dtg.inputs.regions.sides import hemisphere
from bids_dtg.report.panels.panel import Label

# As Schaefer's parcels are named: 7Networks_LH_SomMot_3, LH_Cont_Par_1.
_NETWORK = re.compile(r"(?:^|_)(?:LH|RH)_([A-Za-z]+)")
# Of Yeo's seven networks, in their order; names of other networks are shown as they are.
_SEVEN = {
    "Vis": "Visual",
    "SomMot": "Somatomotor",
    "DorsAttn": "Dorsal attention",
    "SalVentAttn": "Ventral attention",
    "Limbic": "Limbic",
    "Cont": "Control",
    "Default": "Default mode",
}
_SIDES = {"left": "Left", "right": "Right", "": "Other"}
OTHER = "Other"


@dataclass(frozen=True, eq=False)
class Arrangement:
    """How regions are drawn."""

    order: NDArray[np.intp]  # (regions,), which region stands at each place
    labels: tuple[Label, ...]  # of the groups
    words: str  # what the groups are; empty: there are none

    @property
    def parts(self) -> tuple[float, ...]:
        """Where one group ends and the next begins, in percent."""
        return tuple(label.start for label in self.labels[1:])


def arrange(names: Sequence[str]) -> Arrangement:
    """Put regions in order by what their names say: network, else hemisphere, else as they are.

    Parameters
    ----------
    names
        A name for each row of the matrix or table, in its order.

    Examples
    --------
    >>> found = arrange(["LH_Default_1", "LH_Vis_1", "RH_Vis_1"])
    >>> found.order, [(label.text, round(label.size)) for label in found.labels]
    (array([1, 2, 0]), [('Visual', 67), ('Default mode', 33)])
    >>> arrange(["ctx-lh-insula", "ctx-rh-insula"]).words
    'hemisphere'
    """
    networks = [found.group(1) if (found := _NETWORK.search(name)) else "" for name in names]
    if sum(map(bool, networks)) > len(names) / 2:
        ranks = [*_SEVEN, *sorted({*networks} - {*_SEVEN, ""}), ""]
        groups = [_SEVEN.get(network, network) or OTHER for network in networks]
        return _arranged(groups, [ranks.index(network) for network in networks], "network")
    sides = [hemisphere(name) for name in names]
    if len({*sides} - {""}) < 2:
        return Arrangement(np.arange(len(names)), (), "")
    ranks = [*_SIDES]
    return _arranged(
        [_SIDES[side] for side in sides], [ranks.index(side) for side in sides], "hemisphere"
    )


def row_labels(names: Sequence[str], arranged: Arrangement) -> tuple[Label, ...]:
    """Return a label a region, in the order of the rows."""
    size = 100 / max(len(names), 1)
    return tuple(
        Label(names[region], place * size, size) for place, region in enumerate(arranged.order)
    )


def _arranged(groups: Sequence[str], ranks: Sequence[int], words: str) -> Arrangement:
    order = np.argsort(ranks, kind="stable")
    labels, start = [], 0
    for text, members in groupby(groups[region] for region in order):
        size = len([*members])
        labels.append(Label(text, 100 * start / len(groups), 100 * size / len(groups)))
        start += size
    return Arrangement(order, tuple(labels), words)
