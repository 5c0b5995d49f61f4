"""Options that only statistics over participants read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from bids_dtg.option import option


@dataclass(frozen=True)
class PhenotypeOptions:
    """Which phenotypes are tested or predicted, and how."""

    GROUP: ClassVar = "statistics"

    phenotype: tuple[str, ...] = option(
        (),
        "columns of the table to test or to predict",
        metavar="NAME",
        shown="each numeric or two-level column that is not a covariate",
    )
    ridge: Literal["nested", "published"] = option(
        "nested",
        "ridge penalty; nested: chosen within the training participants; published: features "
        "divided by training participants",
    )
