"""What can be looked at in each participant: one table; a row's reader is imported when called."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bids_dtg.cohort.features import FeatureSource
    from bids_dtg.cohort.people import GroupPeople


@dataclass(frozen=True)
class FeatureKind:
    """A kind of numbers that each participant has."""

    name: str  # a value of ``--feature-sets``
    help: str  # for ``--help``
    words: str  # in a sentence, plural
    reader: str  # the function that finds them, in `bids_dtg.cohort.features`

    def find(self, people: GroupPeople) -> FeatureSource:
        """Find who has such numbers.

        Raises
        ------
        DatasetError
            Nobody has.
        """
        found: FeatureSource = pkgutil.resolve_name(f"bids_dtg.cohort.features:{self.reader}")(
            self, people
        )
        return found


FEATURES: Mapping[str, FeatureKind] = MappingProxyType(
    {
        row.name: row
        for row in (
            FeatureKind(
                "edges",
                "correlations between the ROI series of rest, the connectome that maps are made of",
                "edges of the connectome",
                "find_edges",
            ),
            FeatureKind("maps", "predicted maps", "predicted maps", "find_maps"),
            FeatureKind(
                "deviations",
                "their deviations from other people's maps",
                "deviations of predicted maps",
                "find_deviations",
            ),
            FeatureKind(
                "measured",
                "measured maps (--derivatives statmaps=PATH)",
                "measured maps",
                "find_measured",
            ),
            FeatureKind(
                "regions",
                "means of predicted maps over regions",
                "means of regions",
                "find_regions",
            ),
            FeatureKind(
                "region-deviations",
                "means of deviations over regions",
                "deviations of regions",
                "find_region_deviations",
            ),
        )
    }
)
