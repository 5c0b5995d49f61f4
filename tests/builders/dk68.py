"""The regions of the Desikan-Killiany atlas, as the packaged table of positions names them."""

from __future__ import annotations

from bids_dtg.files.text import read_packaged


def dk68_regions() -> tuple[str, ...]:
    """Return the names of the 68 regions as FreeSurfer has them: left ones first."""
    rows = read_packaged("bids_dtg.inputs", "dk68_positions.tsv").splitlines()[1:]
    return tuple(row.partition("\t")[0] for row in rows)
