"""Quality metrics and decisions of a run, kept after its connectomes are released."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_dtg.bundles.card import ModelCard
from bids_dtg.connectome.checks import RunCheck
from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.connectome.design import SECONDS_PER_RUN
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.contrasts.panels.presentation import MAPS
from bids_dtg.contrasts.panels.run import MeasuredRun
from bids_dtg.files.paths import PathNames
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.origin import camel_case, cleaning_note
from bids_dtg.participants.quality import common_metrics, rounded
from bids_dtg.settings import Settings

# A voxel volume or a repetition time that differs by more than this factor is reported.
FAR_APART = 2.0


@dataclass(frozen=True)
class RunSummary:
    """Quality metrics and decisions of one run, without its arrays."""

    run: RestRun  # its files
    figures: Mapping[str, object]  # by column of the quality table, except the duration
    facts: Mapping[str, Any]  # for the sidecar of the maps
    coverage: float  # share of grey-matter voxels with signal
    judged: RunCheck  # whether the model suits such a run
    notes: tuple[str, ...]  # sentences on unusual findings


def summarise(measured: MeasuredRun, judged: RunCheck, names: PathNames) -> RunSummary:
    """Reduce a measured run and its verdict to values for tables and sidecars.

    `names` replaces folder names in sentences of sidecars.
    """
    connectomes, bundle = measured.connectomes.with_one_set(), measured.bundle
    first = common_metrics(
        measured,
        residual_dof=connectomes.residual_dof,
        model_tr_seconds=bundle.card.training.repetition_time_s,
        model_voxel_mm=bundle.training_voxel_mm,
    )
    verdict_figures = {
        metric.name: rounded(judged.figures[metric.name])
        for metric in MAPS
        if metric.tabled and metric.name in judged.figures
    }
    figures: dict[str, Any] = {
        **first,
        **verdict_figures,
        "n_segments": len(connectomes.segments),
        "dof_beyond_rois": _dof_beyond_rois(connectomes),
        "tsnr_median": rounded(connectomes.median_tsnr, 2),
        "connectome_reliability": rounded(connectomes.reliability),
        "surface": measured.surface.kind if measured.surface else None,
        "surface_position": measured.surface.position if measured.surface else None,
        "training_distribution": judged.verdict,
        "training_distribution_reasons": "; ".join(judged.reasons) or None,
    }
    confounds = {
        **measured.confounds.decisions,
        **{f"dropped_{why}": n for why, n in measured.confounds.dropped.items()},
    }
    return RunSummary(
        measured.run,
        figures,
        {
            **_facts(measured, figures, names),
            "TrainingDistribution": judged.verdict,
            "TrainingDistributionReasons": list(judged.reasons),
            "Confounds": camel_case(confounds),
            "Cleaning": camel_case(measured.cleaning),
            "Notes": [names.hide(note) for note in measured.notes],
        },
        connectomes.coverage,
        judged,
        measured.notes,
    )


def _dof_beyond_rois(connectomes: RunConnectomes) -> float | None:
    """Return degrees of freedom minus ROIs, where these are regressors; None elsewhere."""
    segments = connectomes.segments
    if not segments[0].form.joint:
        return None
    least = min(segment.residual_dof for segment in segments)
    return rounded(least - len(connectomes.roi_r))


def _facts(
    measured: MeasuredRun, figures: Mapping[str, Any], names: PathNames
) -> dict[str, Any]:
    """Return the fields of a sidecar on a run's place in time and space."""
    run, surface = measured.run, measured.surface
    transforms = run.transforms
    surface_facts = dict[str, Any]()
    if surface:
        surface_facts = surface.facts(names)
        if surface.deviation != 1.0:
            surface_facts["DeviationFactor"] = surface.deviation
        if surface.files:
            transforms = (*surface.files.to_t1w, *surface.files.transforms)
    used = [step.path.name + " (inverse)" * step.inverse for step in transforms]
    return {
        "Run": run.title,
        "RepetitionTime": figures["repetition_time"],
        "VoxelSize": figures["voxel_size"],
        RESIDUAL_DOF: figures["residual_dof"],
        "NSegments": figures["n_segments"],
        "Space": run.space,
        "SpaceReason": names.hide(run.space_reason),
        **({"CleanedAs": run.cleaned_as} if run.cleaned_as else {}),
        "Transforms": used,
        **surface_facts,
        "Interpolation": measured.sampled,
    }


def notes_on_average(
    card: ModelCard[Any], runs: Sequence[RunSummary], settings: Settings
) -> dict[str, str]:
    """Describe how an average's runs differ from the training runs, and how they are weighted.

    Returns
    -------
    Sentences by their key in a sidecar.
    """
    input_type = settings.inputs.input_type
    strategy = settings.cleaning.denoise_strategy
    cleaning_notes = (
        cleaning_note(card.training, input_type, strategy, cleaned_as)
        for cleaned_as in sorted({summary.run.cleaned_as for summary in runs})
    )
    notes = {
        "CleaningNote": next(filter(None, cleaning_notes), None),
        "AcquisitionNote": acquisition_note([summary.figures for summary in runs]),
        "SampleNote": _sample_note(card.part, runs),
    }
    if not all(summary.run.dof_known for summary in runs):
        notes["DegreesOfFreedomNote"] = (
            "The runs were cleaned by another program, and their sidecars do not give "
            f"{RESIDUAL_DOF}. It is n/a, its limit was not applied, and runs are weighted by "
            "duration."
        )
    return {key: note for key, note in notes.items() if note}


def _sample_note(part: MapsPart, runs: Sequence[RunSummary]) -> str | None:
    """Report joined runs that are much shorter or longer than those of the training."""
    trained = part.segment_seconds / 60
    if not part.joins_runs or part.segment_seconds >= SECONDS_PER_RUN:
        return None
    minutes = dict[str | None, float]()  # of each session's runs together
    for summary in runs:
        session = summary.run.session
        run_minutes = float(str(summary.figures["minutes_kept"]))
        minutes[session] = minutes.get(session, 0.0) + run_minutes
    far_minutes = _far_from(trained, minutes.values())
    return far_minutes and (
        f"The model was trained on joined runs of {trained:.3g} minutes per session; these have "
        f"{far_minutes}."
    )


def acquisition_note(figures: Sequence[Mapping[str, Any]]) -> str | None:
    """Report voxel sizes or repetition times that differ much from those of the training runs.

    Parameters
    ----------
    figures
        Values of the runs, by column of the quality table.

    Examples
    --------
    >>> run = {"voxel_size": 2.0, "repetition_time": 2.0}
    >>> acquisition_note([{**run, "model_voxel_size": 2.0, "model_repetition_time": 0.72}])
    'The model was trained on runs with a repetition time of 0.72 s; these have 2 s.'
    """
    trained_words, run_words = list[str](), list[str]()
    metrics = (
        ("voxel_size", "voxels of", "mm", 3),
        ("repetition_time", "a repetition time of", "s", 1),
    )
    for name, words, unit, power in metrics:
        trained = figures[0][f"model_{name}"]
        if not trained:
            continue
        far_values = _far_from(trained, [run[name] for run in figures], power)
        if far_values:
            trained_words.append(f"{words} {trained:.3g} {unit}")
            run_words.append(f"{far_values} {unit}")
    if not trained_words:
        return None
    training = " and ".join(trained_words)
    runs = " and ".join(run_words)
    return f"The model was trained on runs with {training}; these have {runs}."


def _far_from(trained: float, values: Iterable[float], power: int = 1) -> str | None:
    """Return the range of values that differ by more than FAR_APART (as volumes with power 3)."""
    far = []
    for value in values:
        ratio = (value / trained) ** power
        if not 1 / FAR_APART <= ratio <= FAR_APART:
            far.append(value)
    if not far:
        return None
    return " to ".join(f"{end:.3g}" for end in sorted({min(far), max(far)}))
