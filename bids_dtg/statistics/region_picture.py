"""Values of an atlas' regions, drawn on a brain."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from bids_dtg.cohort.people import GroupPeople
from bids_dtg.errors import SettingsError
from bids_dtg.imaging.atlas import Atlas, find_atlas
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.report.glass_brain import draw_glass_brain

_SHIPPED = ("Schaefer400", "HCP")


@dataclass(frozen=True, eq=False)
class RegionPictures:
    """Draws regions of atlases whose places are known: those that ship, and of ``--atlases``."""

    people: GroupPeople
    _read: dict[str, Atlas | None] = field(default_factory=dict)  # by key

    def draw(
        self,
        atlas: str,
        values: Mapping[str, float],
        *,
        title: str,
        units: str,
        outlined: Collection[str] = (),
    ) -> bytes | None:
        """Draw a value at all voxels of each region.

        Parameters
        ----------
        atlas
            Key of the atlas, as in names of files: ``Schaefer2018_seg-7n_scale-400``.
        values
            By name of the region; NaN is not drawn.
        title, units
            Text above the picture, and what the values are.
        outlined
            Names of regions that get an outline.

        Returns
        -------
        bytes or None
            A PNG file; None where the places of the regions are not known.
        """
        if atlas not in self._read:
            self._read[atlas] = self._find(atlas)
        found = self._read[atlas]
        if found is None:
            return None
        columns = [values.get(name, np.nan) for name in found.parcels.values()]
        at_voxels = np.array([*columns, np.nan])[found.columns]
        if not np.isfinite(at_voxels).any():
            return None
        around = np.array([*(name in outlined for name in found.parcels.values()), False])
        return draw_glass_brain(
            at_voxels,
            self.people.places,
            title=title,
            outlined=around[found.columns],
            units=units,
        )

    def _find(self, key: str) -> Atlas | None:
        asked = self.people.settings.outputs.atlases
        for name in (*asked, *_SHIPPED):
            with contextlib.suppress(SettingsError):
                templateflow = TemplateFlow.here() if name in asked else TemplateFlow(None)
                found = find_atlas(name, self.people.places, templateflow=templateflow)
                if found.key == key:
                    return found
        return None
