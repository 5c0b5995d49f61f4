"""The table of analyses over people, by the values of ``--analysis``: one row for each folder."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bids_dtg.workflows import Analysis, later

# Options of analyses that use a table of participants.
_ASKED = ("participants_file", "phenotype", "covariates", "feature_sets")
# What of OUTPUT_DIR they read, and what they call their results.
_OF_OUTPUT = ("session_label", "contrast", "derivatives", "input_type", "model_name", "atlases")
ANALYSES: Mapping[str, Analysis] = MappingProxyType(
    {
        "stats": Analysis(
            later("statistics.group_maps.analysis:run_stats"),
            "tests over participants' maps (one or two samples, paired, regression), and "
            "group maps compared with those of measured maps",
            statistics=(*_ASKED, "design", "permutations", "tfce", "within_families"),
            reads=(*_OF_OUTPUT, "seed"),
        ),
        "associate": Analysis(
            later("statistics.associate.analysis:run_associate"),
            "association of each region or voxel with phenotypes",
            statistics=(*_ASKED, "permutations", "within_families"),
            reads=(*_OF_OUTPUT, "seed"),
        ),
        "phenotypes": Analysis(
            later("statistics.phenotypes.analysis:run_phenotypes"),
            "prediction of phenotypes from maps, compared with that from connectomes",
            statistics=(
                *_ASKED,
                "permutations",
                "within_families",
                "folds",
                "repeats",
                "leave_site_out",
            ),
            reads=(*_OF_OUTPUT, "seed"),
        ),
        "embed": Analysis(
            later("statistics.embed:run_embed"),
            "participants and contrasts in few dimensions",
            statistics=("participants_file", "feature_sets"),
            reads=(*_OF_OUTPUT, "seed"),
        ),
    }
)
