"""The file of `--glm-model`: a task, its contrasts, and how they are estimated."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_dtg.errors import ForeignFileError, SettingsError
from bids_dtg.files.foreign import read_toml
from bids_dtg.files.names import plain_label
from bids_dtg.notices import named

# Models of the haemodynamic response, as nilearn names them. Those that have several columns a
# condition are estimated on the first, the response itself.
HRFS = (
    *("spm", "spm + derivative", "spm + derivative + dispersion"),
    *("glover", "glover + derivative", "glover + derivative + dispersion"),
)
NOISE_MODELS = ("ar1", "ols")
# Six motion parameters, their derivatives and the squares of both (Friston et al. 1996).
MOTION_24 = ("trans_*", "rot_*")
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_TERM = re.compile(rf"(?:(?P<weight>{_NUMBER})\s*\*\s*)?(?P<name>.+)")
_LABEL = re.compile(r"[0-9A-Za-z]{1,100}")  # names of files end at 255 letters
# Of a condition: smaller and larger ones leave the range in which maps are stored.
_LEAST_WEIGHT = 1e-6
_EXAMPLE = 'wm2bkVs0bk = "2back - 0back", or {"2back" = 1, "0back" = -1}'


@dataclass(frozen=True)
class GlmModel:
    """What is estimated of the runs of a task, and how."""

    task: str  # label, without task-
    contrasts: Mapping[str, Mapping[str, float]]  # label -> condition -> weight, none of them 0
    trial_type: str = "trial_type"  # column of the event files that names the conditions
    ignore: tuple[str, ...] = ()  # trial types that are part of the baseline
    hrf: str = "spm"  # one of `HRFS`
    high_pass: float = 1 / 128  # Hz; slower cosines are in the design; 0: none are
    noise_model: str = "ar1"  # one of `NOISE_MODELS`
    # Name of a denoising strategy, or names of columns with * for any letters.
    confounds: str | tuple[str, ...] = MOTION_24
    smoothing_fwhm: float = 0.0  # mm; 0: none
    space: str = "MNI152NLin6Asym"  # of the series that are read, with :res- where several are

    @property
    def conditions(self) -> tuple[str, ...]:
        """Conditions that a contrast names, sorted."""
        return tuple(sorted({name for weights in self.contrasts.values() for name in weights}))


def read_glm_model(path: Path) -> GlmModel:
    """Read the file of `--glm-model`.

    Raises
    ------
    SettingsError
        It cannot be read, has a key that is not known or a value that is none, or no contrast.
    """
    try:
        content = read_toml(path)
    except ForeignFileError as err:
        raise err.as_kind(SettingsError, "--glm-model ", expected="a file in TOML") from err
    return parse_glm_model(content, f"--glm-model {path}")


def parse_glm_model(content: Mapping[str, Any], source: str) -> GlmModel:
    """Take the content of a file apart.

    Parameters
    ----------
    content
        Content of the TOML file, as parsed.
    source
        Name of the file, for errors.

    Raises
    ------
    SettingsError
        As `read_glm_model`.

    Examples
    --------
    >>> model = parse_glm_model(
    ...     {"task": "nback", "contrasts": {"wm2bkVs0bk": "2back - 0back"}}, "a file")
    >>> dict(model.contrasts["wm2bkVs0bk"]), model.hrf
    ({'2back': 1.0, '0back': -1.0}, 'spm')
    """
    known = [field.name for field in dataclasses.fields(GlmModel)]
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise SettingsError(
                f"{source}: '{key}' is not known",
                expected=f"'{near[0]}'" if near else f"one of {', '.join(known)}",
            )
    for key, kind in (("task", str), ("contrasts", dict)):
        if not isinstance(content.get(key), kind) or not content[key]:
            raise SettingsError(
                f"{source} has no {key}",
                expected='task = "nback", and a table [contrasts] of labels, e.g. ' + _EXAMPLE,
            )
    values: dict[str, Any] = {key: _checked(key, value, source) for key, value in content.items()}
    return GlmModel(**values)


def parse_expression(text: str) -> dict[str, float]:
    """Return the weights of conditions in a sum of them; signs have spaces around them.

    Raises
    ------
    ValueError
        It is no such sum, or names a condition twice.

    Examples
    --------
    >>> parse_expression("0.5*left hand + 0.5*right-hand - cue")
    {'left hand': 0.5, 'right-hand': 0.5, 'cue': -1.0}
    """
    bare = text.strip()
    first = bare[:1] if bare[:1] in "+-" else ""
    parts = re.split(r"\s([+-])\s", f" {first or '+'} {bare.removeprefix(first)} ")
    weights: dict[str, float] = {}
    for sign, term in zip(parts[1::2], parts[2::2], strict=True):
        match = _TERM.fullmatch(term.strip())
        if match is None or any(letter in match["name"] for letter in "*()/"):
            raise ValueError(
                f"'{term.strip()}' is no condition, with or without a weight before it"
            )
        name = match["name"].strip()
        if name in weights:
            raise ValueError(f"it names {name} twice")
        weights[name] = float(f"{sign}{match['weight'] or 1}")
    return weights


def _checked(key: str, value: object, source: str) -> object:
    """Return the value of a key as the model has it."""
    if key == "task":
        return plain_label(str(value), "task")
    if key == "contrasts":
        assert isinstance(value, dict)  # as was checked
        return {label: _weights(label, given, source) for label, given in value.items()}
    if key in ("hrf", "noise_model"):
        return _one_of(key, value, HRFS if key == "hrf" else NOISE_MODELS, source)
    if key in ("high_pass", "smoothing_fwhm"):
        return _amount(key, value, source)
    if key in ("ignore", "confounds") and isinstance(value, list):
        if all(isinstance(item, str) and item for item in value):
            return tuple(value)
    elif key != "ignore" and isinstance(value, str) and value:
        return value
    raise SettingsError(
        f"{source}: {key} is {value!r}",
        expected={
            "ignore": "a list of trial types",
            "confounds": "a denoising strategy, or a list of columns such as trans_*",
        }.get(key, "a text"),
    )


def _one_of(key: str, value: object, known: tuple[str, ...], source: str) -> str:
    if value not in known:
        raise SettingsError(f"{source}: {key} is {value!r}", expected=f"one of {', '.join(known)}")
    return str(value)


def _amount(key: str, value: object, source: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < 100:  # type: ignore[operator]
        raise SettingsError(
            f"{source}: {key} is {value!r}",
            expected="a number, 0 or more, in "
            + ("Hz (1/128 is 0.0078)" if key == "high_pass" else "mm"),
        )
    return float(value)  # type: ignore[arg-type]


def _weights(label: str, given: object, source: str) -> Mapping[str, float]:
    where = f"{source}: the contrast {label}"
    if not _LABEL.fullmatch(label):
        raise SettingsError(
            where + " has a label with other signs",
            expected="up to 100 letters and digits, as in file names",
        )
    if isinstance(given, str):
        try:
            given = parse_expression(given)
        except ValueError as err:
            raise SettingsError(f"{where} is {given!r}: {err}", expected=_EXAMPLE) from err
    if not isinstance(given, dict) or not given or not all(map(_is_weight, given.values())):
        raise SettingsError(f"{where} is {given!r}", expected=_EXAMPLE)
    return {name: float(weight) for name, weight in given.items()}


def _is_weight(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and _LEAST_WEIGHT <= abs(value) <= 1 / _LEAST_WEIGHT  # type: ignore[arg-type]


def require_conditions(model: GlmModel, present: Mapping[str, int], source: str) -> None:
    """Refuse conditions of a contrast that no run has a trial of: their names are wrong.

    Parameters
    ----------
    model
        The GLM model, with its contrasts.
    present
        Trial types of all runs, with the number of runs that have each.
    source
        Name of the file, for the error.

    Raises
    ------
    SettingsError
        Naming them, and the nearest trial type.
    """
    absent = [name for name in model.conditions if name not in present]
    if not absent:
        return
    folded = {name.casefold(): name for name in present}
    near = [difflib.get_close_matches(name.casefold(), folded, 1, 0.5) for name in absent]
    likely = named([f"'{folded[found[0]]}'" for found in near if found])
    raise SettingsError(
        f"{source}: no run of the task {model.task} has a trial of {named(absent)} in the column "
        f"{model.trial_type}",
        expected=f"{likely}, or another " * bool(likely) + f"of {named(sorted(present))}",
    )
