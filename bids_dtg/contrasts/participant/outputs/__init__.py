"""Files of an average of contrast maps, and the kinds of results for ``--write``.

- `maps`: maps with their sidecar, means over atlases, and the model's half-widths
- `spaces`: further spaces that maps are written in
- `surfaces`: maps at the vertices of surfaces, and as grayordinates
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from bids_dtg.notices import counted

MAPS, REGIONS = "maps", "regions"
CONNECTOME = "connectome"
WRITES: Mapping[str, str] = MappingProxyType(
    {
        MAPS: "predicted maps",
        REGIONS: "a table of means over the parcels of each of --atlases",
        CONNECTOME: "the voxel-to-ROI connectome and the ROI series of each run",
    }
)
USUAL = (MAPS, REGIONS)


def in_words(contrasts: int, kinds: Collection[str]) -> str:
    """Describe what is written, in a few words."""
    words = []
    if {*kinds} != {CONNECTOME}:
        maps = counted(contrasts, "map")
        words.append(maps if MAPS in kinds else f"regions of {maps}")
    if CONNECTOME in kinds:
        words.append("connectomes")
    return " and ".join(words)
