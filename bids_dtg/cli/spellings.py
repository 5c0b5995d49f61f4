"""How other programs spell options: flags of fMRIPrep and XCP-D that users type by habit.

They are understood on the command line only; the settings hold this program's own names. The
program ignores options without a counterpart here, and prints a line that says why. It refuses
options that would change the maps or that it cannot fulfil, and names the option to use.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bids_dtg.settings import OPTIONS

NOTES = "spelling_notes"  # where a parser leaves the lines to print
# Bytes in a unit of --mem, as fMRIPrep has them; without one they are megabytes.
_UNITS = {"": 1e6, "B": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@dataclass(frozen=True)
class Alias:
    """Another spelling of an option of this program."""

    flags: tuple[str, ...]
    option: str  # name of the option that it stands for
    convert: Callable[[str], str] = str  # of the value, to what the option takes
    why: str = ""  # a line that is printed with it; empty: none is needed

    @property
    def words(self) -> str:
        """What becomes of it, for people."""
        return f"is taken as {self._own}" + (f": {self.why}" if self.why else "")

    @property
    def _own(self) -> str:
        return max(flags_of(self.option), key=len)


@dataclass(frozen=True)
class Foreign:
    """An option of another program that has no counterpart here."""

    flags: tuple[str, ...]
    why: str  # why it changes nothing, or is refused
    values: int | str = 0  # how many words follow it; `+`, `*` or `?` as of argparse
    refused: bool = False
    harmless: frozenset[str] = frozenset()  # values with which it changes nothing, though refused

    @property
    def words(self) -> str:
        """What becomes of it, for people."""
        if not self.refused:
            return f"changes nothing: {self.why}"
        but = f" (but for {', '.join(sorted(self.harmless))})" if self.harmless else ""
        return f"is refused{but}: {self.why}"

    def refuses(self, values: Sequence[str]) -> bool:
        """Return whether these values cannot be had."""
        plain = {value.partition(":")[0] for value in values}
        return self.refused and not plain & self.harmless


def _gigabytes(text: str) -> str:
    found = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([BKMGT]?)B?", text.strip().upper())
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no memory. Expected: megabytes, or e.g. 16G")
    return f"{float(found[1]) * _UNITS[found[2]] / 1e9:g}"


def _minutes(text: str) -> str:
    try:
        return f"{max(0.0, float(text)) / 60:g}"
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds") from err


_NO_SURFACES = "FreeSurfer is not used; --surfaces writes maps on surfaces that fMRIPrep made"
_BY_MODEL = "the model decides whether volumes or CIFTI files are read"
_NO_PREPROCESSING = "runs are read as they were preprocessed"
_NO_NIPYPE = "the work runs without nipype; see --nprocs, --n-cpus and --mem-gb"
_CLEANING = "choose the cleaning with --denoise-strategy, --confound-model and --gsr"
_MOTION = "framewise displacement and motion parameters are taken as fMRIPrep computed them"
_NEEDLESS = "runs are read in blocks of frames, so that memory does not grow with their length"

ALIASES: tuple[Alias, ...] = (
    Alias(("--nthreads",), "n_cpus"),
    Alias(("--mem", "--mem-mb"), "mem_gb", _gigabytes),
    Alias(
        ("--random-seed",), "seed", why="models of one's own use it; maps are made without chance"
    ),
    Alias(("--fd-thresh", "-f"), "fd_threshold"),
    Alias(("--smoothing",), "smoothing_fwhm"),
    Alias(("--lower-bpf",), "high_pass"),
    Alias(("--upper-bpf",), "low_pass"),
    Alias(("--min-time",), "min_minutes", _minutes),
    Alias(("-c",), "custom_confounds"),
    Alias(("--run-id", "--run-label"), "run"),
)

FOREIGN: tuple[Foreign, ...] = (
    Foreign(("--low-mem",), _NEEDLESS),
    # FreeSurfer and surfaces
    Foreign(("--fs-license-file", "--fs-subjects-dir"), _NO_SURFACES, 1),
    Foreign(
        ("--fs-no-reconall", "--fs-no-resume", "--no-submm-recon", "--hires", "--no-hires"),
        _NO_SURFACES,
    ),
    Foreign(("--no-msm", "--medial-surface-nan", "--project-goodvoxels"), _NO_SURFACES),
    Foreign(("--cifti-output",), _BY_MODEL, "?"),
    Foreign(("--warp-surfaces-native2std", "--no-warp-surfaces-native2std"), _NO_SURFACES),
    # What fMRIPrep does before
    Foreign(
        ("--skull-strip-template", "--skull-strip-t1w", "--bold2anat-init", "--bold2anat-dof"),
        _NO_PREPROCESSING,
        1,
    ),
    Foreign(("--bold2t1w-init", "--bold2t1w-dof", "--slice-time-ref"), _NO_PREPROCESSING, 1),
    Foreign(("--level", "--me-t2s-fit-method", "--output-layout"), _NO_PREPROCESSING, 1),
    Foreign(("--use-syn-sdc",), _NO_PREPROCESSING, "?"),
    Foreign(("--ignore", "--force"), _NO_PREPROCESSING, "+"),
    Foreign(
        ("--skull-strip-fixed-seed", "--force-syn", "--force-bbr", "--force-no-bbr", "--sloppy"),
        _NO_PREPROCESSING,
    ),
    Foreign(("--longitudinal", "--fmap-bspline", "--fmap-no-demean"), _NO_PREPROCESSING),
    Foreign(
        ("--me-output-echos",),
        'echoes that fMRIPrep combined are read; {"bold": {"echo": 2}} in --bids-filter-file '
        "chooses one",
    ),
    Foreign(
        ("--use-aroma",),
        "fMRIPrep's option only made files; to clean by AROMA add --denoise-strategy ica_aroma",
    ),
    Foreign(("--error-on-aroma-warnings", "--return-all-components"), _NO_PREPROCESSING),
    Foreign(("--aroma-melodic-dimensionality",), _NO_PREPROCESSING, 1),
    Foreign(
        ("--fd-spike-threshold", "--dvars-spike-threshold"),
        "fMRIPrep's options only mark frames; to leave frames out add --denoise-strategy "
        "scrubbing, with --fd-threshold and --std-dvars-threshold",
        1,
    ),
    Foreign(
        ("--anat-only",), "maps are made from resting runs; there is no anatomical part", 0, True
    ),
    Foreign(
        ("--echo-idx",),
        'choose an echo with --bids-filter-file: {"bold": {"echo": 2}}',
        1,
        refused=True,
    ),
    # How the work is run
    Foreign(("--use-plugin", "--nipype-plugin-file"), _NO_NIPYPE, 1),
    Foreign(
        ("--resource-monitor", "--write-graph", "--track-carbon"),
        "times are in logs/ and in the quality tables",
    ),
    Foreign(("--country-code",), "nothing is tracked", 1),
    Foreign(("--no-sub",), "nothing is ever sent anywhere"),
    Foreign(("--md-only-boilerplate",), "the methods text is logs/CITATION.md"),
    Foreign(
        ("--aggregate-session-reports",), "a participant's report holds all sessions anyhow", 1
    ),
    # XCP-D
    Foreign(("--mode",), f"its modes are sets of XCP-D's options; {_CLEANING}", 1, refused=True),
    Foreign(
        ("--nuisance-regressors",),
        f"{_CLEANING}, as --denoise-strategy simple --confound-model 36P",
        1,
        refused=True,
    ),
    Foreign(
        ("--despike",),
        "frames are left out whole, with --denoise-strategy scrubbing",
        0,
        refused=True,
    ),
    Foreign(("--no-despike",), "nothing is despiked"),
    Foreign(
        ("--motion-filter-type",), _MOTION, 1, refused=True, harmless=frozenset({"none", "None"})
    ),
    Foreign(
        ("--band-stop-min", "--band-stop-max", "--motion-filter-order"), _MOTION, 1, refused=True
    ),
    Foreign(("--head-radius", "-r"), _MOTION, 1, refused=True, harmless=frozenset({"50"})),
    Foreign(
        ("--bpf-order",),
        "--high-pass and --low-pass cut exactly at their frequencies",
        1,
        refused=True,
    ),
    Foreign(
        ("--disable-bandpass-filter",), "nothing is filtered without --high-pass or --low-pass "
        "but for the cosines of the strategy"
    ),
    Foreign(("--nifti", "--linc-qc", "--skip-linc-qc"), "volumes are read"),
    Foreign(
        ("--dcan-qc", "--skip-dcan-qc", "--abcc-qc"), "the quality table has its own columns"
    ),
    Foreign(
        ("--file-format",),
        _BY_MODEL,
        1,
        refused=True,
        harmless=frozenset({"nifti", "auto"}),
    ),
    Foreign(("--cifti", "-s"), _BY_MODEL, 0, refused=True),
    Foreign(
        ("--combineruns", "--no-combineruns", "-m"),
        "runs are not joined; --combine says over what maps are averaged",
    ),
    Foreign(
        ("--combine-runs",), "runs are not joined; --combine says over what maps are averaged", "?"
    ),
    Foreign(
        ("--atlas",),
        "--atlases NAME|FILE ... writes means of the maps over the parcels of atlases",
        1,
        refused=True,
    ),
    Foreign(("--skip-parcellation",), "--atlases none writes no means over parcels", 0, True),
    Foreign(
        ("--create-matrices",), "--write-connectome writes the ROI-by-ROI matrix of each run", "+"
    ),
    Foreign(("--exact-time",), "all time that is left after cleaning is used", "+", refused=True),
)  # fmt: skip


def flags_of(name: str) -> tuple[str, ...]:
    """Return the flags of an option of this program.

    Examples
    --------
    >>> flags_of("mem_gb"), flags_of("verbose")
    (('--mem-gb',), ('-v', '--verbose'))
    """
    own: tuple[str, ...] = OPTIONS[name].field.metadata["flags"]
    return own or ("--" + name.replace("_", "-"),)


def add_spellings(parser: argparse.ArgumentParser) -> None:
    """Have a parser understand other programs' spellings too; its help does not show them."""
    for alias in ALIASES:
        own = next(action for action in parser._actions if action.dest == alias.option)
        # `--run-id a b` takes as many words as `--run`.
        several: dict[str, Any] = {"nargs": "+"} if own.nargs == "+" else {}
        parser.add_argument(
            *alias.flags,
            dest=alias.option,
            action=_Alias,
            row=alias,
            type=alias.convert,
            help=argparse.SUPPRESS,
            **several,
        )
    for foreign in FOREIGN:
        for flag in foreign.flags:
            parser.add_argument(
                flag,
                dest=argparse.SUPPRESS,
                nargs=1 if foreign.values == 1 else foreign.values,
                action=_Foreign,
                row=foreign,
                help=argparse.SUPPRESS,
            )


def with_hyphens(words: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """Write flags of a parser that were typed with `_` in place of `-` as it knows them.

    Parameters
    ----------
    words
        As the shell hands them on. What follows `--` is left alone.
    parser
        Whose flags are meant. It ends the program where a flag is of no option.
    """
    known = [flag for action in parser._actions for flag in action.option_strings]
    end = words.index("--") if "--" in words else len(words)
    return [*(_known(word, known, parser) for word in words[:end]), *words[end:]]


def _known(word: str, known: Sequence[str], parser: argparse.ArgumentParser) -> str:
    flag, equals, value = word.partition("=")
    if not flag.startswith("--") or " " in flag:
        return word
    plain = flag.replace("_", "-")
    if plain not in known:
        parser.error(f"there is no option {flag}{_nearest(plain, parser)}")
    return f"{plain}{equals}{value}"


def _nearest(flag: str, parser: argparse.ArgumentParser) -> str:
    shown = [
        own
        for action in parser._actions
        if action.help != argparse.SUPPRESS
        for own in action.option_strings
    ]
    begun = [own for own in shown if own.startswith(flag)]
    near = dict.fromkeys([*begun, *difflib.get_close_matches(flag, shown, n=3)])
    return f"; near ones are {', '.join([*near][:3])}" if near else ""


class _Alias(argparse.Action):
    def __init__(self, *args: Any, row: Alias, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._row = row

    def __call__(
        self, _parser: object, namespace: argparse.Namespace, values: Any, flag: str | None = None
    ) -> None:
        before = getattr(namespace, self.dest, None) or []
        setattr(namespace, self.dest, [*before, *values] if self.nargs else values)
        if self._row.why:
            _note(namespace, f"{flag} {self._row.words}")


class _Foreign(argparse.Action):
    def __init__(self, *args: Any, row: Foreign, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._row = row

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        flag: str | None = None,
    ) -> None:
        given = [values] if isinstance(values, str) else list(values or ())
        if self._row.refuses(given):
            parser.error(f"{' '.join([flag or '', *given])} is refused: {self._row.why}")
        _note(namespace, f"{flag} changes nothing: {self._row.why}")


def _note(namespace: argparse.Namespace, line: str) -> None:
    setattr(namespace, NOTES, [*getattr(namespace, NOTES, []), line])
