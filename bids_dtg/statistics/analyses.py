"""The table of analyses over people, by the values of ``--analysis``: one row for each folder."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bids_dtg.workflows import Analysis, later

# Options of analyses that use a table of participants.
_ASKED = ("participants_file", "phenotype", "covariates", "feature_sets")
# What of OUTPUT_DIR they read, and what they call their results.
_OF_OUTPUT = (*("session_label", "contrast", "derivatives", "input_type", "model_name", "atlases"),)
ANALYSES: Mapping[str, Analysis] = MappingProxyType(
    {
        "stats": Analysis(
            later("statistics.stats:run_stats"),
            "one question to each region, voxel or edge: the mean, a phenotype, or two sessions",
            statistics=(*_ASKED, "permutations", "voxels"),
            reads=(*_OF_OUTPUT, "seed"),
        ),
        "phenotypes": Analysis(
            later("statistics.phenotypes:run_phenotypes"),
            "prediction of phenotypes from maps, compared with that from connectomes and measured "
            "maps",
            statistics=(*_ASKED, "permutations", "voxels", "folds", "ridge"),
            reads=(*_OF_OUTPUT, "seed"),
        ),
        "embed": Analysis(
            later("statistics.embed:run_embed"),
            "participants and contrasts in few dimensions",
            statistics=("participants_file", "phenotype", "feature_sets", "permutations", "voxels"),
            reads=(*_OF_OUTPUT, "seed"),
        ),
    }
)
