"""Which version of a run is read, why, and which transforms lead to it from the model's space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.files.names import same_label
from bids_dtg.inputs.anatomy import USUAL_TEMPLATE, Anatomy, transform_files
from bids_dtg.inputs.run import (
    IMAGES,
    NATIVE,
    PARCEL_SERIES,
    PARCELS,
    SPACE,
    SURFACE,
    T1W,
    NamedFile,
    TransformFile,
    belongs_to,
    having,
)
from bids_dtg.inputs.templateflow import (
    TemplateFlow,
    TransformMissingError,
    TransformPlannedError,
)

# Entities by which `--space` names parcels of CIFTI.
_NAMING = ("seg", "atlas")
# Other words for the run's own grid and for the anatomical space, as fMRIPrep's options have them.
_ALIASES = {"func": NATIVE, "native": NATIVE, "run": NATIVE, "anat": T1W}
# Spaces beside the model's, the best first; any other template comes after them.
_PREFERRED = (NATIVE, T1W, USUAL_TEMPLATE)
# The ends of a co-registration, and whether its inverse is used: affine, either direction serves,
# the one that needs no inverse first. fMRIPrep's word for the grid of the run itself since 23.1,
# before, and in 26.
_OWN = ("boldref", "scanner", "run")
_COREGISTRATIONS = (*((own, T1W, False) for own in _OWN), *((T1W, own, True) for own in _OWN))
# Entities of a transform that do not say whose it is.
_HOW = frozenset({"from", "to", "mode", "desc"})
# The BOLD series, the transforms to it from the model's space (none: it is in that space), and
# one clause on why this one.
Choice = tuple[NamedFile, tuple[TransformFile, ...], str]


@dataclass(frozen=True)
class SpaceRule:
    """Where a run is wanted, and what may be used to bring it there."""

    model: str = SPACE  # template of the model's grid
    asked: str | None = None  # space to read, with :cohort- and :res- where given; None: the best
    # Whether a file's places are the model's; None: the label res- decides.
    on_lattice: Callable[[Path], bool] | None = None
    templateflow: TemplateFlow = field(default_factory=TemplateFlow.here)

    @property
    def endings(self) -> tuple[str, ...]:
        """What the names of series that can be read end with: volumes, or parcels of CIFTI."""
        return PARCEL_SERIES if self.model == PARCELS else IMAGES


def choose_version(versions: Sequence[NamedFile], rule: SpaceRule, root: Path) -> Choice:
    """Choose among the versions of one run the one that needs the least resampling.

    First those in the model's space, on its lattice before others; then those in
    the person's own space (boldref, then T1w) with fMRIPrep's transforms; then
    those in another template with TemplateFlow's transform; then those in the person's own space
    through another template.

    Parameters
    ----------
    versions
        BOLD series that differ in space and resolution only.
    rule
        Where the run is wanted.
    root
        Root folder of the dataset of derivatives.

    Raises
    ------
    RunError
        None is in the space that was asked for, or can be brought to the model's space: what each
        of them lacks.
    """
    asked, there = rule.asked, _labels(versions)
    left = [file for file in versions if asked is None or is_in_space(file, asked)]
    if not left:
        raise RunError(
            f"{versions[0].path.parent} has no version in {asked} of {versions[0].title}",
            expected=f"one of {there}",
            remedy="choose another --space, or leave it out",
        )
    why = ["asked for with --space"] if asked else [f"chosen from {there}"] * (len(versions) > 1)
    if in_model := [file for file in left if file.space == rule.model]:
        file, lattice = _nearest(in_model, rule.on_lattice)
        return file, (), "; ".join([f"{rule.model}, the model's space", *lattice, *why])
    if asked is None:
        why.append(f"not {rule.model}, which is not there")
    lacks: list[RunError] = []
    ways = [(file, False) for file in sorted(left, key=_preference)]
    for file, is_detour in ways:  # detours are added at its end
        try:
            transforms, over = _transforms(file, rule, root, is_detour=is_detour)
        except RunError as err:
            lacks.append(err)
            # It has no transform to the model's template, and may have one to another.
            if not is_detour and type(err) is RunError and file.space in (NATIVE, T1W):
                ways.append((file, True))
        else:
            words = [f"{space_label(file)} with the transforms to {over}", *why]
            return file, transforms, "; ".join(words)
    raise _nothing(left, lacks, rule)


def is_in_space(file: NamedFile, asked: str) -> bool:
    """Return whether a file is in a space as `--space` names it."""
    space, *modifiers = asked.split(":")
    wanted = dict(modifier.split("-", 1) for modifier in modifiers)
    if names_parcels(asked):
        space = PARCELS
    return file.space == _ALIASES.get(space, space) and all(
        (label := file.name.get(key)) is not None
        and (value == label if key in _NAMING else same_label("run", value, label))
        for key, value in wanted.items()
    )


def names_parcels(asked: str) -> bool:
    """Return whether `--space` names parcels of CIFTI.

    Examples
    --------
    >>> names_parcels("fsLR:seg-4S156Parcels"), names_parcels("fsLR")
    (True, False)
    """
    space, *modifiers = asked.split(":")
    return space == SURFACE and any(own.partition("-")[0] in _NAMING for own in modifiers)


def space_label(file: NamedFile) -> str:
    """Name the space of a file as `--space` does."""
    is_parcels = file.space == PARCELS
    named = [
        f":{key}-{label}"
        for key in (_NAMING if is_parcels else ("cohort", "res"))
        if (label := file.name.get(key))
    ]
    return (SURFACE if is_parcels else file.space) + "".join(named)


def _labels(files: Sequence[NamedFile]) -> str:
    return ", ".join(sorted({space_label(file) for file in files}))


def _nearest(
    files: list[NamedFile], on_lattice: Callable[[Path], bool] | None
) -> tuple[NamedFile, list[str]]:
    """Return the best of the files in the model's space, and words on the lattice."""
    if on_lattice is None or len(files) == 1:
        return min(files, key=_preference), []
    on = [file for file in files if on_lattice(file.path)]
    file = min(on or files, key=_preference)
    return file, [f"{space_label(file)} {'on' if on else 'none is on'} the model's lattice"]


def _preference(file: NamedFile) -> tuple[int, int, str]:
    """Order versions by space; then res-2, no res (the native resolution), any."""
    is_parcels = file.space == PARCELS
    order: tuple[str, ...] = PARCEL_SERIES if is_parcels else _PREFERRED
    own = file.name.extension if is_parcels else file.space
    rank = order.index(own) if own in order else len(order)
    res = file.name.get("res")
    return rank, 1 if res is None else 0 if same_label("run", res, "2") else 2, str(file.path)


def _transforms(
    bold: NamedFile, rule: SpaceRule, root: Path, *, is_detour: bool
) -> tuple[tuple[TransformFile, ...], str]:
    """Find the transforms that map points of the model's space to a series, and words on the way.

    A file `from-T1w_to-MODEL` resamples images of T1w space onto the template, so
    it maps points of the template to points of T1w space: it comes first. The
    co-registration `from-boldref_to-T1w` maps those on to the run's own grid.
    A detour leads through another template.
    """
    if bold.space not in (NATIVE, T1W):
        cohort = bold.name.get("cohort")
        origin = f"{bold.space}+{cohort}" if cohort else bold.space
        return (TransformFile(rule.templateflow.transform(rule.model, origin)),), rule.model
    anatomy = Anatomy(root, bold.participant, bold.session, rule.templateflow)
    if is_detour:
        normalisation, template = anatomy.through(T1W, rule.model)
        words = f"{template} and from there to {rule.model}"
    else:
        normalisation, words = (anatomy.transform(T1W, rule.model),), rule.model
    own = () if bold.space == T1W else (_coregistration(bold),)
    return (*normalisation, *own), words


def _coregistration(bold: NamedFile) -> TransformFile:
    near = [
        file
        for file in transform_files(bold.path.parent, bold.participant)
        if belongs_to(file.name, bold.name, _HOW)
    ]
    for origin, to, inverse in _COREGISTRATIONS:
        for file in having(near, **{"from": origin, "to": to}):
            return TransformFile(file.path, inverse)
    raise TransformMissingError(
        f"{bold.path.parent} has no {bold.title}_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt",
        remedy="rerun fMRIPrep on this run",
    )


def _nothing(files: list[NamedFile], lacks: list[RunError], rule: SpaceRule) -> RunError:
    """Say what each version lacks; the remedy is the one that is the least work.

    What would be fetched is less than what can be, and that less than what must be computed.
    """
    planned = [err for err in lacks if isinstance(err, TransformPlannedError)]
    # Those of TemplateFlow come last.
    missing = [err for err in reversed(lacks) if isinstance(err, TransformMissingError)]
    least = [*planned, *missing, *(err for err in lacks if err.remedy), lacks[0]][0]
    return type(least)(
        f"{files[0].title} is in other spaces only ({_labels(files)}), and "
        f"{'; '.join(dict.fromkeys(err.found for err in lacks))}",
        expected=f"space-{rule.model}, or transforms to it",
        remedy=least.remedy,
    )
