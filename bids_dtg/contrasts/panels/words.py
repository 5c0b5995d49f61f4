"""Texts of the workflow `contrasts`: README, methods, quality columns, lines on pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_dtg.bundles.card import ModelCard, TrainingData
from bids_dtg.connectome.design import SECONDS_PER_RUN
from bids_dtg.connectome.form import FORMS, MARGINAL, PENALTY, Form
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import KINDS
from bids_dtg.contrasts.bundle.registry import SERIN
from bids_dtg.inputs.selection import PARCELS
from bids_dtg.notices import counted
from bids_dtg.report.contents import (
    HALF_WIDTH,
    AverageFiles,
    ParticipantFiles,
    RunFiles,
    contrast_details,
)
from bids_dtg.report.flags import Flag, few_people, trained_on
from bids_dtg.report.methods import MethodsWords
from bids_dtg.report.quality import QualityColumn, number
from bids_dtg.settings import Combine, OutputOptions
from bids_dtg.stats.half_width import LEVEL
from bids_dtg.version import AUTHORS

COLUMNS = (
    QualityColumn("n_segments", "Segments of rest whose maps were averaged"),
    QualityColumn(
        "dof_beyond_rois",
        "Residual degrees of freedom minus the number of ROIs, in the segment with the fewest: "
        "all ROIs are regressors of the partial form; n/a where the model reads the marginal form, "
        "and where degrees of freedom are",
        flag="{value:.0f} degrees of freedom are left in a segment beyond the ROIs, which are "
        "regressors of the partial form that the model reads; the fewer, the noisier are the maps",
    ),
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
        "Median over grey matter of temporal signal-to-noise, confounds removed; n/a for series "
        "whose mean was subtracted, as XCP-D does",
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
        "The same by the intraclass correlation ICC(1,1), which a difference in level also lowers. "
        "It is that of half the run; that of the whole run is 2 ICC / (1 + ICC)",
    ),
    QualityColumn(
        "mask_overlap",
        "Dice overlap of the run's brain mask and the model's; n/a without a mask in the "
        "model's space",
    ),
    QualityColumn(
        "roi_map_identity",
        "Share of ROIs whose connectome resembles their own map most of all maps",
    ),
    QualityColumn(
        "hemispheric_similarity",
        "Mean over ROIs of the correlation of connectomes of mirrored voxels",
    ),
    QualityColumn("roi_sd_ratio", "Largest over smallest standard deviation of the ROI series"),
    QualityColumn(
        "training_distribution",
        "Whether the model is for the run: inside the limits of the checks, unusual or outside",
    ),
    QualityColumn(
        "training_distribution_reasons",
        "Reasons of the verdict, in words; n/a where there are none",
    ),
    QualityColumn(
        "not_individual",
        "Contrasts whose map is the same for everybody, as the model found nothing of them in "
        "rest; n/a where there is none",
    ),
)
# Columns that the group level adds to the table of all runs.
GROUP_COLUMNS = (
    QualityColumn(
        "denoise_strategy",
        "How the run was cleaned, by the maps that it went into; figures are compared among runs "
        "that were cleaned alike",
    ),
    QualityColumn(
        "similarity",
        "Correlation of the maps that the run went into with the mean maps of the other "
        "participants, averaged over contrasts; n/a with fewer than three participants",
        title="Similarity to the group",
        unit="r",
    ),
)
CITATION = f"""\
If you use these maps, please cite the method and the program that made them, as logs/CITATION.md
says.

{", ".join(AUTHORS)}. bids_dtg, version {{version}}
{SERIN}
"""
_WEIGHTED = (
    "weighted by the residual degrees of freedom of each segment (by its time where those of a "
    "run are not known)"
)
_COMBINED = {
    "run": f"within each run, {_WEIGHTED}",
    "session": f"within each session, {_WEIGHTED}",
    "participant": f"over all runs of a participant, {_WEIGHTED}",
}
_RECENTRED = (
    "{owner} error in the mean map, found in {people} outside its training set, was subtracted "
    "from each map, and each contrast's deviations were scaled by one gain found in the same "
    "people; both come with the model. "
)
_RECENTRED_IN_TURN = (
    "{owner} error in the mean map, found in its {people}, was subtracted from each map, and each "
    "contrast's deviations were scaled by one gain, found in the same people, each left out of "
    "the fit in turn; both come with the model. "
)
_INTERVALS = (
    "Each map has a map of the half-widths of {level} % prediction intervals, the same for all "
    "participants: in blocks of places, t(.95, n - 1) times the root mean square of the errors for "
    "the {people} behind them, each {in_turn}predicted from {segments}. They are meant to contain "
    "{level} % of the voxels of a newly measured map of a person like these, on average over "
    "people. "
)
_NO_INTERVALS = "The model carries no half-widths, so the maps have no prediction intervals. "
_PARCELS = "Maps were averaged over the parcels of {atlases}. "
_CITED = {
    "Serin": """\
- Serin, E., et al. (2025). Generating synthetic task-based brain fingerprints for population
  neuroscience using deep learning. *Communications Biology*, 8, 1572. (DeepTaskGen)
  https://doi.org/10.1038/s42003-025-09158-6
""",
    "Schaefer": """\
- Schaefer, A., et al. (2018). Local-global parcellation of the human cerebral cortex from intrinsic
  functional connectivity MRI. *Cerebral Cortex*, 28, 3095-3114.
  https://doi.org/10.1093/cercor/bhx179
""",
    "Nickerson": """\
- Nickerson, L. D., et al. (2017). Using dual regression to investigate network shape and
  amplitude in functional connectivity analyses. *Frontiers in Neuroscience*, 11, 115.
  https://doi.org/10.3389/fnins.2017.00115
""",
    "Schäfer": """\
- Schäfer, J., & Strimmer, K. (2005). A shrinkage approach to large-scale covariance matrix
  estimation and implications for functional genomics. *Statistical Applications in Genetics and
  Molecular Biology*, 4, 32. https://doi.org/10.2202/1544-6115.1175
""",
    "Oktay": """\
- Oktay, O., et al. (2018). Attention U-Net: learning where to look for the pancreas.
  https://doi.org/10.48550/arXiv.1804.03999
""",
    "Tavor": """\
- Tavor, I., et al. (2016). Task-free MRI predicts individual differences in brain activity during
  task performance. *Science*, 352, 216-220. https://doi.org/10.1126/science.aad8127
""",
}


def readme_text(card: ModelCard[Any]) -> str:
    """Write the README of the dataset."""
    warning = "" if card.for_science else "\nThis model is NOT FOR SCIENCE.\n"
    notice = f"\n{card.notice}\n" if card.notice else ""
    title = KINDS[card.kind].title
    files = ".nii.gz: one map for each contrast; its JSON file says\n  what it was"
    if card.part.parcels:
        files = ".pscalar.nii: CIFTI, the maps of all contrasts by their labels;\n  its JSON file"
        files += " says what they were"
    return f"""\
Synthetic task-activation maps
==============================

The maps in this dataset are predictions, not measurements: each was computed by the model
{card.name} {card.version} ({title}) from a person's resting-state fMRI.
Nobody performed the tasks.
{warning}{notice}
- sub-*/[ses-*/]func/*_desc-synthetic_statmap{files} made from and how.
- *_qc.tsv: quality figures of each run; the JSON file beside it explains the columns.
- logs/CITATION.md: methods text and references.
- logs/<run>/: options, versions, timing and failures of each call of the program.
"""


@dataclass(frozen=True)
class ModelOfMaps:
    """Facts of a model of maps for the methods text; nothing in it is assumed."""

    kind: str  # a row of `bids_dtg.contrasts.bundle.kinds`
    n_rois: int  # number of ROI maps
    n_voxels: int  # in its grey-matter mask
    n_contrasts: int  # maps in an average
    segment_seconds: float  # rest in one sample
    training: TrainingData  # data that it was trained on
    citation: str = ""  # what users are asked to cite
    form: Form = MARGINAL  # of the connectomes that it reads
    recentred_on: int | None = None  # people whose mean error is subtracted; None: nothing is
    left_out_in_turn: bool = False  # whether they are training people, each left out in turn
    intervals_by: tuple[int, int] | None = None  # people, segments of each; None: no intervals
    intervals_in_turn: bool = False  # whether they are training people, left out of the fit
    parcels: bool = False  # whether it reads parcels of CIFTI, not voxels
    joins_runs: bool = False  # whether it reads all runs of a session together

    @property
    def places(self) -> str:
        """What it reads and predicts at."""
        return "parcels" if self.parcels else "grey-matter voxels"

    @classmethod
    def of(cls, bundle: ModelBundle) -> ModelOfMaps:
        """Return the facts of a bundle."""
        card, widths = bundle.card, bundle.half_widths
        recentring = card.part.recentring if bundle.correction is not None else None
        return cls(
            kind=card.kind,
            n_rois=bundle.rois,
            n_voxels=bundle.places.number,
            n_contrasts=len(bundle.contrasts),
            segment_seconds=card.part.segment_seconds,
            training=card.training,
            citation=card.citation,
            form=card.part.connectome,
            recentred_on=recentring.participants if recentring else None,
            left_out_in_turn=recentring is not None and recentring.left_out_in_turn,
            intervals_by=(widths.people, widths.segments) if widths else None,
            intervals_in_turn=widths is not None and widths.left_out_in_turn,
            parcels=card.part.parcels,
            joins_runs=card.part.of_sessions,
        )


def methods_of(bundle: ModelBundle, outputs: OutputOptions) -> MethodsWords:
    """Return the methods text of a call with a model."""
    return methods_words(ModelOfMaps.of(bundle), outputs)


def methods_words(model: ModelOfMaps, outputs: OutputOptions) -> MethodsWords:
    """Describe how maps were made from cleaned runs.

    Parameters
    ----------
    model
        The model that predicted them.
    outputs
        Outputs besides the maps, and the runs over which maps were averaged.
    """
    words = KINDS[model.kind]
    computed = (
        "In each run, the time series of the "
        f"model's {model.n_rois} spatial maps{_in_sets(model)} were estimated over {_where(model)} "
        f"by the first stage of dual regression (Nickerson et al., 2017), and {_connected(model)}. "
        f"This was done for {_cut(model)} connectome into {model.n_contrasts} contrast maps"
        f"{_averaged(model, outputs.combine)}. "
        f"{_recentred(model)}{_intervals(model)}"
        f"{_parcels(outputs.atlases)}"
    )
    about = f"The model is {words.model} {_trained(model.training)}"
    said = f"{words.method} {about} {computed}"
    references = "".join(text for name, text in _CITED.items() if f"{name} " in said)
    if model.citation and not any(part in references for part in model.citation.split()[-1:]):
        references += f"- {model.citation} (the model)\n"
    return MethodsWords(
        made="Synthetic task-activation maps were predicted from resting-state fMRI",
        method=words.method,
        computed=computed.strip(),
        caution="The maps are predictions, not measurements: the person did not perform the tasks.",
        references=f"## References\n\n{references}",
        model=about,
    )


def _parcels(atlases: Sequence[str]) -> str:
    """Name the atlases whose parcels maps were averaged over, by their keys."""
    named = [
        f"{key} (Schaefer et al., 2018)" if key.startswith("Schaefer2018") else key
        for key in atlases
    ]
    return _PARCELS.format(atlases=" and ".join(named)) if named else ""


def _in_sets(model: ModelOfMaps) -> str:
    """Name the sets of ROI maps, if there are several."""
    if not model.form.sets:
        return ""
    *first, last = map(str, model.form.sets)
    return f", of {', '.join(first)} and {last} maps each solved by itself,"


def _where(model: ModelOfMaps) -> str:
    """Say over which voxels ROI series are estimated."""
    if not model.form.standardised:
        return "all parcels" if model.parcels else "the brain"
    return f"the {model.places}, each divided by its standard deviation in time,"


def _connected(model: ModelOfMaps) -> str:
    """Say how connectomes were computed from the ROI series."""
    if not model.form.row.joint:
        return (
            "Pearson correlations were computed between them and each of "
            f"{model.n_voxels:,} {model.places}"
        )
    return (
        f"each of {model.n_voxels:,} {model.places} was regressed on all of them together, as "
        f"in its second stage, all series scaled to variance 1, with a ridge penalty of {PENALTY:g}"
    )


def _cut(model: ModelOfMaps) -> str:
    """Say what a connectome is of."""
    if model.joins_runs:
        return (
            "all runs of a session together, each run about its own means; the model turned each "
            "session's"
        )
    if model.segment_seconds >= SECONDS_PER_RUN:
        return "each run as a whole; the model turned each run's"
    return f"segments of about {model.segment_seconds:g} s; the model turned each segment's"


def _averaged(model: ModelOfMaps, combine: Combine) -> str:
    """Say over what maps are averaged; nothing where they are of a whole session each."""
    if model.joins_runs:
        over = f"over the sessions of a participant, {_WEIGHTED}"
        return f", and the maps were averaged {over}" if combine == "participant" else ""
    over = "" if model.segment_seconds >= SECONDS_PER_RUN else "over segments "
    return f", and the maps were averaged {over}{_COMBINED[combine]}"


def _trained(training: TrainingData) -> str:
    """Say what a model was trained on, as far as its bundle says it."""
    if training.data == "unknown":
        return "whose bundle does not name its training data."
    facts = [
        *([counted(training.participants, "participant")] if training.participants else []),
        *([f"{training.repetition_time_s:g} s a frame"] if training.repetition_time_s else []),
        *([f"cleaning: {training.cleaning}"] if training.cleaning != "unknown" else []),
    ]
    return f"trained on {training.data}" + (f" ({'; '.join(facts)})." if facts else ".")


def _recentred(model: ModelOfMaps) -> str:
    if model.recentred_on is None:
        return ""
    in_turn = model.left_out_in_turn
    people = counted(model.recentred_on, "training participant" if in_turn else "participant")
    words = _RECENTRED_IN_TURN if in_turn else _RECENTRED
    return words.format(owner=KINDS[model.kind].owner, people=people)


def _intervals(model: ModelOfMaps) -> str:
    if model.intervals_by is None:
        return _NO_INTERVALS
    people, segments = model.intervals_by
    return _INTERVALS.format(
        level=LEVEL,
        people=counted(people, "participant"),
        segments=counted(segments, "segment"),
        in_turn="left out of the fit and " * model.intervals_in_turn,
    )


def missing(run: RunFiles) -> str | None:
    """Say why parts of a run of parcels are not shown; None of other runs."""
    if run.facts.get("Space") == PARCELS:
        return (
            "The run was read as parcels: there are no pictures of its registration and "
            "coverage, as it holds no volume of the brain."
        )
    return None


def subtitle(files: ParticipantFiles) -> str:
    """Summarise a participant's results in a line."""
    if not files.every_average:
        return "No maps."
    common = files.every_average[0].common
    count = sum(len(made.maps) for made in files.averages)
    averages = f" in {len(files.averages)} averages" if len(files.averages) > 1 else ""
    runs = f"{len(files.runs)} run{'s' * (len(files.runs) != 1)} of rest"
    what = f"{counted(count, 'synthetic contrast map')}{averages}"
    if not count:
        what = "Results without maps, which were not asked for (--write),"
    return (
        f"{what} by the model {common.get('ModelName', '')} "
        f"{common.get('ModelVersion', '')}{kind_in_brackets(common)} from {runs}"
    )


def model_line(files: ParticipantFiles) -> str:
    """Say in a line what the model reads and on how many people it was trained."""
    if not files.every_average:
        return ""
    common = files.every_average[0].common
    # Sidecars name the form only if it is not that of the published models.
    form = common.get("Connectome") or {}
    row = FORMS.get(str(form.get("Form")), MARGINAL.row)
    people = trained_on(common)
    stands = f"The model was trained on {counted(people, 'participant')}. " if people else ""
    return f"{stands}It reads {row.words}." if stands else f"The model reads {row.words}."


def kind_in_brackets(sidecar: Mapping[str, Any]) -> str:
    """Return the kind of model that a sidecar names; nothing if it names none.

    Examples
    --------
    >>> kind_in_brackets({"ModelKind": "linear"})
    ' (linear model)'
    """
    kind = str(sidecar.get("ModelKind") or "")
    row = KINDS.get(kind)
    title = row.title if row else kind
    return f" ({title})" if title else ""


def notes_on_average(made: AverageFiles) -> Iterator[Flag]:
    """Yield flags on the uncertainty of maps."""
    if few := few_people(made.common):
        yield Flag("warning", few)
    if made.common.get("Intervals") is False:
        yield Flag(
            "note", "The model carries no half-widths: its maps have no intervals", made.title
        )
    yield from _notes_on_intervals(made)


def _notes_on_intervals(made: AverageFiles) -> Iterator[Flag]:
    """Yield flags on missing intervals, and on maps from more or less rest than those have."""
    images = {shown.label: shown.overlays.get(HALF_WIDTH) for shown in made.maps}
    first = next(filter(None, images.values()), None)
    if first is None:
        return
    _, details = contrast_details(first)
    shares = [
        number(str(details.get(label, {}).get("ShareWithoutInterval"))) or 0.0 for label in images
    ]
    if any(shares):
        text = (
            f"{sum(shares) / len(shares):.1%} of the voxels of all contrasts have no interval: too "
            "few of the people behind it were measured there"
        )
        yield Flag("note", text, made.title)
    if note := made.common.get("IntervalNote"):
        yield Flag("note", str(note), made.title)
