"""The table of analyses over people, by the values of ``--analysis``: one row for each folder."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bids_dtg.workflows import Analysis, later

# Options of analyses that use a table of participants, and what they call their results. The model
# made the maps: it may be named as at the participant level.
_ASKED = (
    *("session_label", "model", "model_name", "seed"),
    *("participants_file", "phenotype", "permutations"),
)
ANALYSES: Mapping[str, Analysis] = MappingProxyType(
    {
        "stats": Analysis(
            later("statistics.stats:run_stats"),
            "one question to each region, voxel or edge: the mean, a phenotype, or two sessions",
            reads=(*_ASKED, "covariates"),
        ),
        "phenotypes": Analysis(
            later("statistics.phenotypes:run_phenotypes"),
            "prediction of phenotypes from maps, compared with that from connectomes and measured "
            "maps",
            reads=(*_ASKED, "covariates", "folds", "ridge"),
        ),
        "embed": Analysis(
            later("statistics.embed:run_embed"),
            "participants and contrasts in few dimensions",
            reads=_ASKED,
        ),
    }
)
