"""Quality metrics and decisions of a run, kept after its connectomes are released."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_dtg.bundles.card import ModelCard
from bids_dtg.connectome.checks import RunCheck
from bids_dtg.connectome.design import SECONDS_PER_RUN
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.contrasts.panels.run import MeasuredRun
from bids_dtg.files.paths import PathNames
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.origin import camel_case, cleaning_note
from bids_dtg.participants.quality import first_figures, rounded
from bids_dtg.settings import Settings

# Metrics of the verdict that no other step computes.
_OF_VERDICT = (
    "mask_overlap",
    "roi_map_identity",
    "hemispheric_similarity",
    "homotopic_rank",
    "roi_sd_ratio",
)
# A voxel volume or a repetition time that differs by more than this factor is reported.
FAR_APART = 2.0


@dataclass(frozen=True)
class RunSummary:
    """Quality metrics and decisions of one run, without its arrays."""

    run: RestRun  # its files
    figures: Mapping[str, object]  # by column of the quality table, except the duration
    facts: Mapping[str, Any]  # for the sidecar of the maps
    coverage: float  # share of grey-matter voxels with signal
    confounds: Mapping[str, Any]  # requested confounds, and dropped frames
    judged: RunCheck  # whether the model suits such a run
    notes: tuple[str, ...]  # sentences on unusual findings


def summarise(
    measured: MeasuredRun, judged: RunCheck, bundle: ModelBundle, names: PathNames
) -> RunSummary:
    """Reduce a measured run and its verdict to values for tables and sidecars.

    `names` replaces folder names in sentences of sidecars.
    """
    run, result = measured.run, measured.connectomes.of_one_set()
    beyond = None  # degrees of freedom beyond the ROIs, which are regressors in the partial form
    if result.segments[0].form.joint:
        least = min(part.residual_dof for part in result.segments)
        beyond = rounded(least - len(result.roi_r))
    figures: dict[str, Any] = {
        **first_figures(
            run,
            measured.design,
            measured.confounds,
            voxel_mm=measured.voxel_mm,
            residual_dof=result.residual_dof,
            model_tr_seconds=bundle.card.training.repetition_time_s,
            model_voxel_mm=bundle.training_voxel_mm,
        ),
        "n_segments": len(result.segments),
        "dof_beyond_rois": beyond,
        "coverage": round(result.coverage, 4),
        "roi_coverage_min": round(float(result.roi_coverage.min()), 4),
        "tsnr_median": rounded(result.median_tsnr, 2),
        "connectome_reliability": rounded(result.reliability),
        **{name: rounded(judged.figures[name]) for name in _OF_VERDICT},
        "surface": measured.surface.kind if measured.surface else None,
        "training_distribution": judged.verdict,
        "training_distribution_reasons": "; ".join(judged.reasons) or None,
    }
    confounds = {
        **measured.confounds.decisions,
        **{f"dropped_{why}": n for why, n in measured.confounds.dropped.items()},
    }
    surface = measured.surface
    files = surface.files if surface else None
    transforms = (*files.to_t1w, *files.transforms) if files else run.transforms
    of_surface = surface.facts if surface else {}
    if surface:
        of_surface["SurfaceReason"] = names.hide(surface.reason)
        if surface.deviation != 1.0:
            of_surface["DeviationFactor"] = surface.deviation
    facts = {
        "Run": run.title,
        "RepetitionTime": figures["repetition_time"],
        "VoxelSize": figures["voxel_size"],
        RESIDUAL_DOF: figures["residual_dof"],
        "NSegments": figures["n_segments"],
        "Space": run.space,
        "SpaceReason": names.hide(run.space_reason),
        **({"CleanedAs": run.cleaned_as} if run.cleaned_as else {}),
        "Transforms": [
            used.path.name + (" (inverse)" if used.inverse else "")
            for used in transforms
        ],
        **of_surface,
        "Interpolation": measured.sampled,
        "TrainingDistribution": judged.verdict,
        "TrainingDistributionReasons": list(judged.reasons),
        "Confounds": camel_case(confounds),
        "Cleaning": camel_case(measured.cleaning),
        "Notes": [names.hide(note) for note in measured.notes],
    }
    return RunSummary(
        run, figures, facts, result.coverage, confounds, judged, measured.notes
    )


def notes_on_average(
    card: ModelCard[Any], runs: Sequence[RunSummary], settings: Settings
) -> dict[str, str]:
    """Describe how an average's runs differ from the training runs, and how they are weighted.

    Returns
    -------
    Sentences by their key in a sidecar.
    """
    how = settings.inputs.input_type, settings.cleaning.denoise_strategy
    cleanings = (
        cleaning_note(card.training, *how, cleaned_as)
        for cleaned_as in sorted({summary.run.cleaned_as for summary in runs})
    )
    unknown = (
        "The runs were cleaned by another program, and their sidecars do not give "
        f"{RESIDUAL_DOF}. It is n/a, its limit was not applied, and runs are weighted by duration."
    )
    notes = {
        "CleaningNote": next(filter(None, cleanings), None),
        "AcquisitionNote": acquisition_note([summary.figures for summary in runs]),
        "SampleNote": _sample_note(card.part, runs),
        "DegreesOfFreedomNote": None
        if all(own.run.dof_known for own in runs)
        else unknown,
    }
    return {key: note for key, note in notes.items() if note}


def _sample_note(part: MapsPart, runs: Sequence[RunSummary]) -> str | None:
    """Report joined runs that are much shorter or longer than those of the training."""
    trained = part.segment_seconds / 60
    if not part.of_sessions or part.segment_seconds >= SECONDS_PER_RUN:
        return None
    minutes = dict[str | None, float]()  # of each session's runs together
    for summary in runs:
        own = float(str(summary.figures["minutes_kept"]))
        minutes[summary.run.session] = minutes.get(summary.run.session, 0.0) + own
    found = _far_from(trained, minutes.values())
    return found and (
        f"The model was trained on joined runs of {trained:.3g} minutes per session; these have "
        f"{found}."
    )


def acquisition_note(figures: Sequence[Mapping[str, Any]]) -> str | None:
    """Report voxel sizes or repetition times that differ much from those of the training runs.

    Parameters
    ----------
    figures
        Values of the runs, by column of the quality table.

    Examples
    --------
    >>> own = {"voxel_size": 2.0, "repetition_time": 2.0}
    >>> acquisition_note([{**own, "model_voxel_size": 2.0, "model_repetition_time": 0.72}])
    'The model was trained on runs with a repetition time of 0.72 s; these have 2 s.'
    """
    there, here = [], []
    for name, what, unit, power in (
        ("voxel_size", "voxels of", "mm", 3),
        ("repetition_time", "a repetition time of", "s", 1),
    ):
        of_model = figures[0][f"model_{name}"]
        if of_model and (
            found := _far_from(of_model, [run[name] for run in figures], power)
        ):
            there.append(f"{what} {of_model:.3g} {unit}")
            here.append(f"{found} {unit}")
    if not there:
        return None
    runs = " and ".join(there)
    return (
        f"The model was trained on runs with {runs}; these have {' and '.join(here)}."
    )


def _far_from(trained: float, values: Iterable[float], power: int = 1) -> str | None:
    """Return the range of values that differ by more than FAR_APART (as volumes with power 3)."""
    far = [
        own
        for own in values
        if not 1 / FAR_APART <= (own / trained) ** power <= FAR_APART
    ]
    return (
        " to ".join(f"{end:.3g}" for end in sorted({min(far), max(far)}))
        if far
        else None
    )
