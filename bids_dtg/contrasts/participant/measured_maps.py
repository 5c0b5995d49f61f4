"""Find measured maps of the predicted contrasts, for analyses over people."""

from __future__ import annotations

from bids_dtg.cohort import features
from bids_dtg.cohort.people import GroupPeople
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.inputs.statmaps import plain_contrast
from bids_dtg.workflows import FeatureKind


def find_measured(kind: FeatureKind, people: GroupPeople) -> features.FeatureSource:
    """Find measured maps; the tasks of HCP's contrasts are known.

    Raises
    ------
    DatasetError
        No folder of measured maps was given, or it has none of these people and contrasts.
    """
    tasks = {plain_contrast(row.label): plain_contrast(row.task) for row in hcp_contrasts()}
    return features.find_measured(kind, people, tasks)
