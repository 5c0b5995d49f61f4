"""What demos share: names of their files, and how their picture is kept."""

from __future__ import annotations

from pathlib import Path

from bids_dtg.extras import install_line
from bids_dtg.files.atomic import write_atomic
from bids_dtg.notices import show

SIMULATED, TABLE = "simulated", "demo.tsv"  # below the folder of a demo
_PICTURE = "demo.png"


def keep_picture(out: Path, picture: bytes | None) -> None:
    """Write the picture of a demo, and say where it is, or why there is none."""
    if picture is None:
        show(f"no picture: matplotlib is not installed ({install_line('report')})")
        return
    write_atomic(out / _PICTURE, picture)
    show(f"picture: {out / _PICTURE}")
