"""Which version of a run is read, why, and which transforms lead to it from the model's space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.files.names import same_label
from bids_dtg.inputs.anatomy import USUAL_TEMPLATE, Anatomy, transform_files
from bids_dtg.inputs.run import TransformFile
from bids_dtg.inputs.selection import (
    IMAGES,
    NATIVE,
    PARCEL_SERIES,
    PARCELS,
    NamedFile,
    belongs_to,
    measured,
    space_of,
)
from bids_dtg.inputs.templateflow import (
    TemplateFlow,
    TransformMissingError,
    TransformPlannedError,
)

SPACE = "MNI152NLin6Asym"
# Where the cortex of CIFTI files lies.
SURFACE = "fsLR"
# Entities by which `--space` names parcels of CIFTI.
_NAMING = ("seg", "atlas")
# Other words for the run's own grid and for the anatomical space, as fMRIPrep's options have them.
_ALIASES = {"func": NATIVE, "native": NATIVE, "run": NATIVE, "anat": "T1w"}

# fMRIPrep's words for the grid of the run itself: since 23.1, before, and in 26.
OWN = ("boldref", "scanner", "run")
# C-PAC's word for the template of its configuration, whichever that is.
UNNAMED = "template"
# Entities of a transform that do not say whose it is.
HOW = frozenset({"from", "to", "mode", "desc"})


class CoregistrationMissingError(RunError):
    """A run has no co-registration of its own, which fMRIPrep writes for each run."""


@dataclass(frozen=True)
class SpaceRule:
    """Where a run is wanted, and what may be used to bring it there."""

    model: str = SPACE  # template of the model's grid
    asked: str | None = None  # space to read, with :cohort- and :res- where given; None: the best
    # Whether a file's places are the model's; None: the label res- decides.
    on_lattice: Callable[[Path], bool] | None = None
    templateflow: TemplateFlow = field(default_factory=TemplateFlow.here)

    @property
    def taken(self) -> str:
        """Space without a template's name that was asked for: it is taken as the model's."""
        return UNNAMED if (self.asked or "").partition(":")[0] == UNNAMED else self.model

    @property
    def endings(self) -> tuple[str, ...]:
        """What the names of series that can be read end with: volumes, or parcels of CIFTI."""
        return PARCEL_SERIES if self.model == PARCELS else IMAGES


@dataclass(frozen=True)
class Choice:
    """The version of a run that is read."""

    file: NamedFile  # the BOLD series
    transforms: tuple[TransformFile, ...]  # from the model's space to its own
    reason: str  # one clause: why this one
    space: str | None = None  # that the series is in; None: the one that its name says


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
        None can be brought to the model's space: what each of them lacks.
    """
    left = asked_for(versions, rule)
    there = ", ".join(sorted({space_label(file) for file in versions}))
    clause = (
        "asked for with --space" if rule.asked else f"chosen from {there}" * (len(versions) > 1)
    )
    # Who asks for a space without a name says that it is the model's.
    in_model = [file for file in left if space_of(file.name) in (rule.model, rule.taken)]
    lacks: list[RunError] = []
    ways = chain(_in_model_space(in_model, rule, clause), _others(left, rule, root, clause, lacks))
    for choice in ways:
        return choice
    raise _nothing(left, lacks, rule)


def native_transforms(bold: NamedFile, model: str, root: Path) -> tuple[TransformFile, ...]:
    """Find the transforms that map points of the model's space to points of a native series.

    A file `from-T1w_to-MODEL` resamples images of T1w space onto the template, so
    it maps points of the template to points of T1w space: it comes first. The
    co-registration `from-boldref_to-T1w` maps those on to the run's own grid.

    Parameters
    ----------
    bold
        A BOLD series in T1w space or on the run's own grid.
    model
        Template of the model's grid.
    root
        Root folder of the dataset of derivatives.

    Raises
    ------
    RunError
        If one of the two is not there, or there are several.
    """
    anatomy = _anatomy(bold, root)
    if (normalisation := anatomy.transform("T1w", model)) is None:
        raise anatomy.no_transform("T1w", model)
    own = () if space_of(bold.name) == "T1w" else (_coregistration(bold),)
    return (TransformFile(normalisation), *own)


def transforms_through(
    bold: NamedFile, rule: SpaceRule, root: Path
) -> tuple[tuple[TransformFile, ...], str] | None:
    """Find the transforms to a native series by way of another template, and words on the way.

    fMRIPrep's transforms lead from that template to the series, and TemplateFlow's from the
    model's space to the template. None where there is no such way.

    Raises
    ------
    TransformMissingError
        TemplateFlow's transform would do, and is not on this machine.
    RunError
        There is no co-registration of the series.
    """
    missing: TransformMissingError | None = None
    for template in _anatomy(bold, root).templates("from"):
        try:
            between = TransformFile(rule.templateflow.transform(rule.model, template))
        except TransformMissingError as err:
            missing = missing or err
        except RunError:
            continue  # TemplateFlow has no such transform, as of fsnative
        else:
            way = f"{template} and from there to {rule.model}"
            return (between, *native_transforms(bold, template, root)), way
    if missing is not None:
        raise missing
    return None


def is_in_space(file: NamedFile, asked: str) -> bool:
    """Return whether a file is in a space as `--space` names it."""
    space, *modifiers = asked.split(":")
    wanted = dict(modifier.split("-", 1) for modifier in modifiers)
    if names_parcels(asked):
        space = PARCELS
    return space_of(file.name) == _ALIASES.get(space, space) and all(
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
    if space_of(file.name) == PARCELS:
        named = [f":{key}-{label}" for key in _NAMING if (label := file.name.get(key))]
        return SURFACE + "".join(named)
    space, cohort, res = space_of(file.name), file.name.get("cohort"), file.name.get("res")
    return space + (f":cohort-{cohort}" if cohort else "") + (f":res-{res}" if res else "")


def _in_model_space(files: list[NamedFile], rule: SpaceRule, clause: str) -> Iterator[Choice]:
    """Yield the versions in the model's space, the best first."""
    taken = "" if rule.taken == rule.model else f"{rule.taken}, which is taken as "
    model = f"{taken}{rule.model}, the model's"
    look = rule.on_lattice if len(files) > 1 else None
    lattice = {file.path: look(file.path) if look else False for file in files}
    for file in sorted(files, key=lambda file: (not lattice[file.path], _by_resolution(file))):
        on = "on" if lattice[file.path] else "off" if any(lattice.values()) else "none is on"
        why = f"{space_label(file)} {on} the model's lattice" if look else ""
        yield Choice(file, (), "; ".join(filter(None, (model, why, clause))), space=rule.model)


def _others(
    files: list[NamedFile], rule: SpaceRule, root: Path, clause: str, lacks: list[RunError]
) -> Iterator[Choice]:
    """Yield the versions that transforms lead to, the best first; what the others lack is added."""
    elsewhere = [file for file in files if space_of(file.name) not in (rule.model, rule.taken)]
    is_model_there = len(elsewhere) < len(files)
    missed = "" if rule.asked or is_model_there else f"not {rule.model}, which is not there"

    def choice(file: NamedFile, transforms: tuple[TransformFile, ...], way: str) -> Choice:
        why = f"{space_label(file)} with the transforms to {way}"
        return Choice(file, transforms, "; ".join(filter(None, (why, clause, missed))))

    own: list[NamedFile] = []
    for file in _by_preference(elsewhere):
        try:
            transforms = _transforms(file, rule, root)
        except RunError as err:
            lacks.append(err)
            own += [file] if space_of(file.name) in (NATIVE, "T1w") else []
            continue
        yield choice(file, transforms, rule.model)
    for file in own:
        try:
            found = transforms_through(file, rule, root)
        except RunError as err:
            lacks.append(err)
            continue
        if found is not None:
            yield choice(file, *found)


def _transforms(file: NamedFile, rule: SpaceRule, root: Path) -> tuple[TransformFile, ...]:
    space = space_of(file.name)
    if space == UNNAMED:
        raise RunError(
            f"space-{UNNAMED}, as C-PAC writes it, names no template",
            remedy=f"--space {UNNAMED}, if the template of C-PAC's configuration is {rule.model}",
        )
    if space in (NATIVE, "T1w"):
        return native_transforms(file, rule.model, root)
    cohort = file.name.get("cohort")
    origin = f"{space}+{cohort}" if cohort else space
    return (TransformFile(rule.templateflow.transform(rule.model, origin)),)


def _by_preference(files: Sequence[NamedFile]) -> list[NamedFile]:
    order = [UNNAMED, NATIVE, "T1w", USUAL_TEMPLATE]

    def key(file: NamedFile) -> tuple[int, tuple[int, str]]:
        space = space_of(file.name)
        return order.index(space) if space in order else len(order), _by_resolution(file)

    return sorted(files, key=key)


def _by_resolution(file: NamedFile) -> tuple[int, str]:
    """Prefer res-2, then no res (the native resolution), then any."""
    res = file.name.get("res")
    order = 1 if res is None else 0 if same_label("run", res, "2") else 2
    return order, str(file.path)


def asked_for(versions: Sequence[NamedFile], rule: SpaceRule) -> list[NamedFile]:
    """Keep the versions of a run in the space that was asked for; all where none was.

    Raises
    ------
    RunError
        There is none: in which spaces there are.
    """
    if rule.asked is None:
        return list(versions)
    kept = [file for file in versions if is_in_space(file, rule.asked)]
    if not kept:
        there = ", ".join(sorted({space_label(file) for file in versions}))
        raise RunError(
            f"{versions[0].path.parent} has no version in {rule.asked} of {_run(versions[0])}",
            expected=f"one of {there}",
            remedy="choose another --space, or leave it out",
        )
    return kept


def _nothing(files: list[NamedFile], lacks: list[RunError], rule: SpaceRule) -> RunError:
    spaces = ", ".join(sorted({space_label(file) for file in files}))
    found = dict.fromkeys(err.found for err in lacks)
    # What would be fetched is less work than what can be, and that than what must be computed.
    planned = [err for err in lacks if isinstance(err, TransformPlannedError)]
    fetched = [err for err in lacks if isinstance(err, TransformMissingError)]
    remedies = [err.remedy for err in (planned or fetched or lacks) if err.remedy]
    lost = [err for err in lacks if isinstance(err, CoregistrationMissingError)]
    kind = TransformMissingError if fetched else CoregistrationMissingError if lost else RunError
    return (type(planned[0]) if planned else kind)(
        f"{_run(files[0])} is in other spaces only ({spaces}), and {'; '.join(found)}",
        expected=f"space-{rule.model}, or transforms to it",
        remedy=remedies[0] if remedies else None,
    )


def _run(file: NamedFile) -> str:
    return "_".join(f"{key}-{value}" for key, value in measured(file))


def _anatomy(bold: NamedFile, root: Path) -> Anatomy:
    return Anatomy(root, bold.name.get("sub") or "", bold.name.get("ses"))


def _coregistration(bold: NamedFile) -> TransformFile:
    near = [
        file
        for file in transform_files(bold.path.parent, bold.name.get("sub") or "")
        if belongs_to(file.name, bold.name, HOW)
    ]
    # Affine, so that either direction serves; the one that needs no inverse first.
    for inverse in (False, True):
        for own in OWN:
            wanted = ("T1w", own) if inverse else (own, "T1w")
            for file in near:
                if (file.name.get("from"), file.name.get("to")) == wanted:
                    return TransformFile(file.path, inverse)
    raise CoregistrationMissingError(
        f"{bold.path.parent} has no {_run(bold)}_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt",
        remedy="rerun fMRIPrep on this run",
    )
