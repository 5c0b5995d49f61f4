"""Write an XCP-D dataset of one simulated person, with a series of Glasser's parcels.

    python scripts/simulated_parcels.py FOLDER

`make release-check` reads it with the wheel that it has installed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from bids_dtg import load_bundle

FRAMES, NETWORKS, TR_SECONDS = 600, 20, 0.8


def main(folder: Path) -> None:
    """Write the dataset."""
    parcels = load_bundle("hcp-glasser").places.names
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((NETWORKS, len(parcels)))
    series = rng.standard_normal((FRAMES, NETWORKS)) @ mixing
    series += rng.standard_normal(series.shape)
    func = folder / "sub-01" / "func"
    func.mkdir(parents=True)
    maker = {"Name": "XCP-D", "Version": "0.10.0"}
    description = {
        "Name": "simulated",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [maker],
    }
    (folder / "dataset_description.json").write_text(json.dumps(description))
    table = func / "sub-01_task-rest_space-fsLR_seg-Glasser_stat-mean_timeseries.tsv"
    np.savetxt(
        table, series, "%.5f", delimiter="\t", header="\t".join(parcels), comments=""
    )
    sidecar = {"RepetitionTime": TR_SECONDS}
    table.with_suffix(".json").write_text(json.dumps(sidecar))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
