"""What outputs of the workflow `contrasts` say of themselves: its row of `workflows` in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.bundles.card import ModelCard
from bids_dtg.bundles.kinds import KINDS
from bids_dtg.report.contents import ParticipantFiles, SetFiles
from bids_dtg.report.flags import Flag
from bids_dtg.report.methods import MethodsWords
from bids_dtg.report.quality import QualityColumn
from bids_dtg.settings import OutputOptions

COLUMNS = (
    QualityColumn("n_segments", "Segments of rest whose maps were averaged"),
    QualityColumn(
        "coverage",
        "Share of the model's grey-matter voxels with signal",
        title="Grey matter with signal",
        decimals=3,
        most=1.0,
        summary="{:.1%}",
        flag="{value:.1%} of the model's grey matter has signal",
    ),
    QualityColumn(
        "roi_coverage_min",
        "Smallest share, over ROI maps, of a map's weight on voxels with signal",
        title="Lowest coverage of an ROI",
        decimals=3,
        most=1.0,
        flag="An ROI has only {value:.0%} of its map on signal",
    ),
    QualityColumn(
        "tsnr_median",
        "Median over grey matter of temporal signal-to-noise, confounds removed",
        title="Temporal signal-to-noise",
        decimals=0,
        summary="{:.0f}",
        flag="Temporal signal-to-noise is {value:.0f}",
    ),
    QualityColumn(
        "connectome_reliability",
        "Median over grey-matter voxels of the correlation, over ROIs, of the connectomes of "
        "the two halves of the run (alternate pieces of it)",
        title="Agreement of halves",
        unit="r",
        summary="{:.2f}",
        flag="The connectomes of the two halves of the run agree with r {value:.2f}",
    ),
    QualityColumn(
        "connectome_icc",
        "The same by the intraclass correlation ICC(1,1), which a difference in level lowers "
        "too: of half the run; of the whole run it is 2 ICC / (1 + ICC)",
    ),
    QualityColumn(
        "mask_overlap",
        "Dice overlap of the run's brain mask and the model's; n/a without a mask in the "
        "model's space",
    ),
    QualityColumn(
        "roi_map_match",
        "Mean over ROIs of the spatial correlation of an ROI's connectome with its map",
    ),
    QualityColumn(
        "roi_map_identity",
        "Share of ROIs whose connectome resembles their own map most of all maps",
    ),
    QualityColumn("roi_side_match", "The same correlation of what differs between left and right"),
    QualityColumn(
        "hemispheric_similarity",
        "Mean over ROIs of the correlation of connectomes of mirrored voxels",
    ),
    QualityColumn("roi_sd_ratio", "Largest over smallest standard deviation of the ROI series"),
    QualityColumn(
        "connectome_strength", "Root mean square of the correlations, each ROI's mean taken off"
    ),
    QualityColumn("connectome_smoothness", "Correlation of the connectomes of neighbouring voxels"),
    QualityColumn(
        "training_distance",
        "Distance from the model's training connectomes, about 1 is usual; n/a where the "
        "model has no statistics of them",
    ),
    QualityColumn("range", "Whether the model is for such a run: in range, unusual or outside"),
    QualityColumn("range_reasons", "What is unusual, in words; n/a where nothing is"),
)
# What the group level adds to the table of all runs.
GROUP_COLUMNS = (
    QualityColumn(
        "similarity",
        "Correlation of the maps that the run went into with the mean maps of the other "
        "participants, averaged over contrasts; n/a with fewer than three sets of maps",
        title="Similarity to the group",
        unit="r",
    ),
)
CITATION = """\
cff-version: 1.2.0
title: Synthetic task-activation maps from resting-state fMRI
type: dataset
message: >-
  If you use these maps, please cite the method and the program that made them,
  as logs/CITATION.md says.
authors:
  - name: The bids_dtg developers
references:
  - type: software
    title: bids_dtg
    version: {version}
    authors:
      - name: The bids_dtg developers
  - type: article
    title: >-
      Generating synthetic task-based brain fingerprints for population
      neuroscience using deep learning
    authors:
      - family-names: Serin
        given-names: Emin
    journal: Communications Biology
    year: 2025
"""
_COMBINED = {
    "run": "within each run",
    "session": "within each session, runs weighted by their remaining time",
    "participant": "over all runs of a participant, weighted by their remaining time",
}
_RECENTRED = (
    "{owner} error in the mean map, found in people it was not trained on, was taken off "
    "each map, and each contrast was scaled by one gain; both come with the model. "
)
_REFERENCES = """\
## References

- Serin, E., et al. (2025). Generating synthetic task-based brain fingerprints for population
  neuroscience using deep learning. *Communications Biology*. (the method)
- Nickerson, L. D., et al. (2017). Using dual regression to investigate network shape and
  amplitude in functional connectivity analyses. *Frontiers in Neuroscience*, 11, 115.
"""


def readme_text(card: ModelCard[Any]) -> str:
    """Write what a reader of the dataset must know first."""
    warning = "" if card.for_science else "\nThis model is NOT FOR SCIENCE.\n"
    notice = f"\n{card.notice}\n" if card.notice else ""
    return f"""\
Synthetic task-activation maps
==============================

The maps in this dataset are predictions, not measurements: each was computed by the model
{card.name} {card.version} from a person's resting-state fMRI. Nobody performed the tasks.
{warning}{notice}
- sub-*/[ses-*/]func/*_desc-synthetic_statmap.nii.gz: one map for each contrast; its JSON file says
  what it was made from and how.
- *_desc-segmentSpread_statmap.nii.gz: standard deviation over segments of rest.
- *_qc.tsv: quality figures of each run; the JSON file beside it explains the columns.
- logs/CITATION.md: methods text and references.
- logs/<run>/: options, versions, timing and failures of each call of the program.
"""


def methods_of(bundle: ModelBundle, outputs: OutputOptions) -> MethodsWords:
    """Return the methods words of a call with a model."""
    return methods_words(
        kind=bundle.card.kind,
        n_rois=len(bundle.roi_maps),
        n_voxels=bundle.places.number,
        n_contrasts=len(bundle.contrasts),
        segment_seconds=bundle.card.part.segment_seconds,
        combine=outputs.combine,
        recentred=bundle.correction is not None,
    )


def methods_words(
    *,
    kind: str,
    n_rois: int,
    n_voxels: int,
    n_contrasts: int,
    segment_seconds: float,
    combine: str,
    recentred: bool,
) -> MethodsWords:
    """Say how maps were made of cleaned runs.

    Parameters
    ----------
    kind
        Of the model: a row of `bids_dtg.bundles.kinds`.
    n_rois
        Spatial maps of the model.
    n_voxels
        Voxels of its grey-matter mask.
    n_contrasts
        Maps a set.
    segment_seconds
        Rest behind one sample of the model.
    combine
        Option of the same name.
    recentred
        Whether the bundle corrects its maps after the network.
    """
    words = KINDS[kind].words
    correction = _RECENTRED.format(owner=words.owner) if recentred else ""
    return MethodsWords(
        made="Synthetic task-activation maps were predicted from resting-state fMRI",
        method="an implementation of DeepTaskGen (Serin et al., 2025)",
        computed="In each run, the time series of the "
        f"model's {n_rois} spatial maps were estimated over the brain by the first stage of "
        "dual regression (Nickerson et al., 2017), and Pearson correlations were computed between "
        f"them and each of {n_voxels:,} grey-matter voxels. This was done for segments of "
        f"about {segment_seconds:g} s; {words.model} turned each "
        f"segment's connectome into {n_contrasts} contrast maps, and the maps were averaged "
        f"over segments {_COMBINED[combine]}. {correction}"
        "Where there was more than one segment, the standard deviation over segments is given "
        "beside each map.",
        caution="The maps are predictions, not measurements: the person did not perform the tasks.",
        references=_REFERENCES,
    )


def subtitle(files: ParticipantFiles) -> str:
    """Say in a line what there is of a participant."""
    if not files.sets:
        return "No maps."
    common = files.sets[0].common
    count = sum(len(made.maps) for made in files.sets)
    sets = f" in {len(files.sets)} sets" if len(files.sets) > 1 else ""
    runs = f"{len(files.runs)} run{'s' * (len(files.runs) != 1)} of rest"
    return (
        f"{count} synthetic contrast maps{sets} by the model {common.get('ModelName', '')} "
        f"{common.get('ModelVersion', '')} from {runs}"
    )


def notes_on_set(made: SetFiles) -> Iterator[Flag]:
    """Yield what a reader must know of the uncertainty of maps."""
    if not any(made.maps[0].overlays):
        yield Flag(
            "note",
            "The maps carry no uncertainty: there was one segment of rest, and the model has no "
            "calibration",
            made.title,
        )
    elif made.common.get("Calibrated") is False:
        yield Flag(
            "note", "The model carries no calibration: its maps have no intervals", made.title
        )
