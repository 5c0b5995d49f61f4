"""The table of statistical analyses over participants, by the values of ``--analysis``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bids_dtg.workflows import Analysis, later

# Options that all of them read. ``--model`` may be given as at the participant level, and has no
# effect here.
_COMMON = (
    "session_label",
    "model",
    "model_name",
    "seed",
    "participants_file",
    "phenotype",
    "permutations",
)
_UNNAMED = {"model_name": "none"}
ANALYSES: Mapping[str, Analysis] = MappingProxyType(
    {
        "stats": Analysis(
            later("statistics.stats:run_stats"),
            "mean, association with a phenotype, or difference of two sessions, in each region, "
            "voxel or edge",
            reads=(*_COMMON, "covariates"),
            shown=_UNNAMED | {"phenotype": "none"},
        ),
        "phenotypes": Analysis(
            later("statistics.phenotypes:run_phenotypes"),
            "prediction of phenotypes from maps, compared with that from connectomes and measured "
            "maps",
            reads=(*_COMMON, "covariates", "folds", "ridge"),
            shown=_UNNAMED,
        ),
        "embed": Analysis(
            later("statistics.embed:run_embed"),
            "low-dimensional layouts of participants and contrasts",
            reads=_COMMON,
            shown=_UNNAMED,
        ),
    }
)
