"""Choice of the version of a run to read, and of the transforms from the model's space to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bids_dtg.errors import RunError, did_you_mean
from bids_dtg.files.names import same_label
from bids_dtg.files.sidecars import sidecar_of
from bids_dtg.inputs.anatomy import USUAL_TEMPLATE, Anatomy, transform_files
from bids_dtg.inputs.run import (
    NATIVE,
    PARCEL_SERIES,
    PARCELS,
    SPACE,
    SURFACE,
    T1W,
    NamedFile,
    SurfaceFiles,
    TransformFile,
    belongs_to,
    best,
    template_name,
)
from bids_dtg.inputs.templateflow import TemplateFlow, TransformMissingError
from bids_dtg.settings import InputType, SampledOn

# Entities by which `--space` names CIFTI parcels.
_NAMING = ("seg", "atlas")
# Other names of the run's own grid and of the anatomical space, from fMRIPrep's options.
_ALIASES = {"func": NATIVE, "native": NATIVE, "run": NATIVE, "anat": T1W}
# Spaces other than the model's, the best first; any other template comes after them.
_PREFERRED = (NATIVE, T1W, USUAL_TEMPLATE)
# fMRIPrep's names of the run's grid: since 23.1, before that, and in 26.
_RUN_GRIDS = ("boldref", "scanner", "run")
# Origin and target of a co-registration, and whether its inverse is used. It is affine, so both
# directions will do; those that need no inverse come first.
_COREGISTRATIONS = (
    *((grid, T1W, False) for grid in _RUN_GRIDS),
    *((T1W, grid, True) for grid in _RUN_GRIDS),
)
# Entities of a transform that do not identify the run.
_HOW = frozenset({"from", "to", "mode", "desc"})
# The BOLD series; the transforms to it from the model's space (empty if it is in that space); for
# parcels, the surface that volumes are sampled on; and one clause that gives the reason.
Choice = tuple[NamedFile, tuple[TransformFile, ...], SurfaceFiles | None, str]


@dataclass(frozen=True)
class SpaceRule:
    """The space in which a run is needed, and how it may be brought there."""

    model: str = SPACE  # template of the model's grid
    # Requested space, perhaps with :cohort- and :res-; None for the best.
    requested: str | None = None
    # Whether a file's voxels lie on the model's grid; None if the label res- decides.
    on_lattice: Callable[[Path], bool] | None = None
    templateflow: TemplateFlow = field(default_factory=TemplateFlow.here)
    # For parcels: the surface that volumes are sampled on, own or a template's; None: the best.
    sample_on: SampledOn | None = None
    # FreeSurfer's folder of all people; None: where fMRIPrep has it.
    freesurfer: Path | None = None
    # Derivatives that XCP-D was run on; None: those that its description names.
    preprocessed: Path | None = None
    # The dataset and how its folders are read, both filled in by `find_runs`.
    root: Path = Path()
    input_type: InputType = "fmriprep"

    @property
    def is_of_xcpd(self) -> bool:
        """Whether runs are cleaned, and the person's surfaces may lie in the template."""
        return self.input_type == "xcpd"


def choose_version(versions: Sequence[NamedFile], rule: SpaceRule) -> Choice:
    """Choose the version of a run that needs the least resampling.

    The order is: versions in the model's space, first those on its grid; versions in the
    participant's own space (boldref, then T1w), with fMRIPrep's transforms; versions in another
    template, with TemplateFlow's transform; versions in the participant's own space, via another
    template.

    Parameters
    ----------
    versions
        BOLD series that differ only in space and resolution.
    rule
        The space in which the run is needed, and the dataset.

    Raises
    ------
    RunError
        No version is in the requested space, or none can be brought to the model's space; the
        message says what each of them lacks.
    """
    candidates, why = candidates_of(versions, rule)
    in_model = [file for file in candidates if file.space == rule.model]
    if in_model:
        file, lattice = _nearest(in_model, rule.on_lattice)
        reason = "; ".join([f"{rule.model}, the model's space", *lattice, *why])
        return file, (), None, reason
    if rule.requested is None:
        why.append(f"there is no version in {rule.model}")
    lacks: list[RunError] = []
    ways = [(file, False) for file in sorted(candidates, key=preference)]
    for file, is_detour in ways:  # the loop appends detours to this list
        try:
            transforms, over = _transforms(file, rule, is_detour=is_detour)
        except RunError as err:
            lacks.append(err)
            # It has no transform to the model's template, but may have one to another.
            if not is_detour and type(err) is RunError and file.space in (NATIVE, T1W):
                ways.append((file, True))
        else:
            words = [f"{space_label(file)} with the transforms to {over}", *why]
            return file, transforms, None, "; ".join(words)
    raise _nothing(candidates, lacks, rule)


def candidates_of(
    versions: Sequence[NamedFile], rule: SpaceRule
) -> tuple[Sequence[NamedFile], list[str]]:
    """Return the versions in the requested space, and why these, if there was a choice."""
    if rule.requested:
        return files_in_space(versions, rule.requested), ["requested with --space"]
    if len(versions) > 1:
        return versions, [f"chosen from {space_labels(versions)}"]
    return versions, []


def files_in_space(files: Sequence[NamedFile], requested: str) -> list[NamedFile]:
    """Keep the files in a space that is written as for `--space`.

    Raises
    ------
    RunError
        There is none; the message lists the spaces of the files.
    """
    in_space = [file for file in files if _is_in_space(file, requested)]
    if in_space:
        return in_space
    existing = space_labels(files)
    raise RunError(
        f"{files[0].path.parent} has no version of {files[0].title} in {requested}",
        expected=f"one of {existing}",
        remedy=did_you_mean(requested, existing.split(", "))
        or "choose another --space, or leave it out",
    )


def _is_in_space(file: NamedFile, requested: str) -> bool:
    space, *modifiers = requested.split(":")
    if names_parcels(requested):
        space = PARCELS
    if file.space != _ALIASES.get(space, template_name(space)):
        return False
    for modifier in modifiers:
        key, value = modifier.split("-", 1)
        label = file.name.get(key)
        if label is None:
            return False
        if label != value and (key in _NAMING or not same_label("run", value, label)):
            return False
    return True


def names_parcels(requested: str) -> bool:
    """Return whether a value of `--space` names CIFTI parcels.

    Examples
    --------
    >>> names_parcels("fsLR:seg-4S156Parcels"), names_parcels("fsLR")
    (True, False)
    """
    space, *modifiers = requested.split(":")
    keys = [modifier.partition("-")[0] for modifier in modifiers]
    return space == SURFACE and any(key in _NAMING for key in keys)


def space_label(file: NamedFile) -> str:
    """Return the space of a file, written as for `--space`."""
    space = file.space
    keys: tuple[str, ...] = ("cohort", "res")
    if file.space == PARCELS:
        space = SURFACE
        keys = _NAMING
    for key in keys:
        label = file.name.get(key)
        if label:
            space += f":{key}-{label}"
    return space


def space_labels(files: Sequence[NamedFile]) -> str:
    """Return the spaces of some files, written as for `--space`."""
    return ", ".join(sorted({space_label(file) for file in files}))


def _nearest(
    files: list[NamedFile], on_lattice: Callable[[Path], bool] | None
) -> tuple[NamedFile, list[str]]:
    """Return the best file in the model's space, and a clause on the model's grid."""
    if on_lattice is None or len(files) == 1:
        return min(files, key=preference), []
    on_grid = [file for file in files if on_lattice(file.path)]
    file = min(on_grid or files, key=preference)
    is_on = "is" if on_grid else "is not"
    return file, [f"{space_label(file)} {is_on} on the model's grid"]


def preference(file: NamedFile) -> tuple[int, int, str]:
    """Return a sort key: by space, then res-2, no res- (the native resolution), the rest."""
    order: tuple[str, ...] = _PREFERRED
    kind = file.space
    if file.space == PARCELS:
        order = PARCEL_SERIES
        kind = file.name.extension
    rank = order.index(kind) if kind in order else len(order)
    res = file.name.get("res")
    res_rank = 1
    if res is not None:
        res_rank = 0 if same_label("run", res, "2") else 2
    return rank, res_rank, str(file.path)


def _transforms(
    bold: NamedFile, rule: SpaceRule, *, is_detour: bool
) -> tuple[tuple[TransformFile, ...], str]:
    """Find the transforms that map points of the model's space to a series, and describe them.

    A file `from-T1w_to-MODEL` resamples images of T1w space onto the template, so it maps points
    of the template to points of T1w space, and comes first. The co-registration
    `from-boldref_to-T1w` then maps these to the run's own grid. A detour uses another template.
    """
    if bold.space not in (NATIVE, T1W):
        return (rule.templateflow.step(rule.model, template_of(bold)),), rule.model
    anatomy = anatomy_of(bold, rule)
    words = rule.model
    if is_detour:
        normalisation, template = anatomy.through(T1W, rule.model)
        words = f"{template} and from there to {rule.model}"
    else:
        normalisation = (anatomy.transform(T1W, rule.model),)
    to_run_grid = () if bold.space == T1W else (coregistration(bold),)
    return (*normalisation, *to_run_grid), words


def template_of(file: NamedFile) -> str:
    """Return the space of a file as transforms name it: a cohort follows after `+`."""
    cohort = file.name.get("cohort")
    return f"{file.space}+{cohort}" if cohort else file.space


def anatomy_of(bold: NamedFile, rule: SpaceRule) -> Anatomy:
    """Return the anatomy of a run, of the T1w image that the run's sidecars name."""
    files = (bold, *_run_transforms(bold))
    sidecars = tuple(sidecar_of(file.path) for file in files)
    return Anatomy(
        rule.root, bold.participant, bold.session, rule.templateflow, sidecars
    )


def _run_transforms(bold: NamedFile) -> list[NamedFile]:
    """List the transforms of a run, which lie beside it."""
    beside = transform_files(bold.path.parent, bold.participant)
    return [file for file in beside if belongs_to(file.name, bold.name, _HOW)]


def coregistration(bold: NamedFile) -> TransformFile:
    """Find the transform of points from T1w space to a run's own grid.

    Raises
    ------
    TransformMissingError
        There is none.
    """
    near = _run_transforms(bold)
    for origin, to, inverse in _COREGISTRATIONS:
        what = f"the transform from {origin} to {to} of {bold.title}"
        if file := best(near, what, **{"from": origin, "to": to}):
            return TransformFile(file.path, inverse)
    raise TransformMissingError(
        f"{bold.path.parent} has no {bold.title}_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt",
        remedy="rerun fMRIPrep on this run",
    )


def _nothing(
    files: Sequence[NamedFile], lacks: list[RunError], rule: SpaceRule
) -> RunError:
    """Return an error that says what each version lacks; its remedy is the least work.

    The least work is a transform that the user can fetch, then one that must be computed.
    """
    # Reversed, as the errors about TemplateFlow come last.
    missing = [err for err in reversed(lacks) if isinstance(err, TransformMissingError)]
    with_remedy = [err for err in lacks if err.remedy]
    least = [*missing, *with_remedy, lacks[0]][0]
    reasons = dict.fromkeys(err.found for err in lacks)
    return type(least)(
        f"{files[0].title} is in other spaces only ({space_labels(files)}), and "
        f"{'; '.join(reasons)}",
        expected=f"space-{rule.model}, or transforms to it",
        remedy=least.remedy,
    )
