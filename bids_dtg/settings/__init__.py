"""Everything that a run depends on: one frozen object, composed of a part for each concern.

Each option is written once, as a field of its part: the command line, the TOML file, the
hash and the documentation are all made from `OPTIONS`. A step of the program is given the
part that it needs, as `settings.cleaning`, not the whole.

- `parts`: the parts: a dataclass for each concern, an option a field
- `option`: an option: a field that is also an argument and a TOML key
- `checks`: values, and options together, that make no sense
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from bids_dtg.errors import ForeignFileError, SettingsError, did_you_mean
from bids_dtg.files.foreign import read_toml
from bids_dtg.notices import visible
from bids_dtg.settings.checks import check
from bids_dtg.settings.option import REQUIRED, RESULTS, Option, convert, options_of, plain
from bids_dtg.settings.parts import (
    FILE_ONLY,
    SCRUBBING_FD_MM,
    BehaviourOptions,
    CleaningOptions,
    Combine,
    InputChoice,
    InputOptions,
    InputType,
    Interpolation,
    ModellingOptions,
    OutputOptions,
    ResourceOptions,
    StatisticsOptions,
)

__all__ = [
    "FIELDS",
    "OPTIONS",
    "SCRUBBING_FD_MM",
    "BehaviourOptions",
    "CleaningOptions",
    "Combine",
    "InputChoice",
    "InputOptions",
    "InputType",
    "Interpolation",
    "ModellingOptions",
    "Option",
    "OutputOptions",
    "ResourceOptions",
    "Settings",
    "StatisticsOptions",
    "plain",
    "read_options",
    "to_toml",
]


@dataclass(frozen=True)
class Settings:
    """All options of one call of ``bids_dtg``, by part.

    Raises
    ------
    SettingsError
        Options have values, or go together, as they cannot.

    Examples
    --------
    >>> from pathlib import Path
    >>> settings = Settings.of(
    ...     bids_dir=Path("ds001"), output_dir=Path("out"), analysis_level="participant", gsr=True
    ... )
    >>> settings.cleaning.gsr, settings.outputs.combine
    (True, 'session')
    """

    inputs: InputOptions  # what is read, from where, and the model
    cleaning: CleaningOptions = field(default_factory=CleaningOptions)  # of the runs
    modelling: ModellingOptions = field(default_factory=ModellingOptions)  # of one's own models
    statistics: StatisticsOptions = field(default_factory=StatisticsOptions)  # over many people
    outputs: OutputOptions = field(default_factory=OutputOptions)  # what is written
    resources: ResourceOptions = field(default_factory=ResourceOptions)  # where it is computed
    behaviour: BehaviourOptions = field(default_factory=BehaviourOptions)  # of the program

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def of(cls, **options: Any) -> Settings:
        """Compose settings from options by their names, as in a TOML file.

        Raises
        ------
        SettingsError
            There is no option of a name, its value is of another kind, or one is missing.
        """
        parts: dict[str, dict[str, Any]] = {name: {} for name in _PARTS}
        for name, value in options.items():
            if name not in FIELDS:
                raise SettingsError(
                    f"no option is called {name!r}",
                    expected="options as on the command line, with _ for -",
                    remedy=did_you_mean(name, FIELDS) or "see bids_dtg --help",
                )
            option = FIELDS[name]
            parts[option.part][name] = convert(value, option.hint, option.typed)
        required = [option for option in FIELDS.values() if option.default is REQUIRED]
        if lacking := [option.typed for option in required if option.name not in options]:
            raise SettingsError(
                f"{', '.join(lacking)}: neither on the command line nor in a file of options",
                expected=" ".join(option.typed for option in required),
            )
        return cls(**{name: _PARTS[name](**values) for name, values in parts.items()})

    def replace(self, **options: Any) -> Settings:
        """Return these settings with some options changed, by their names."""
        return Settings.of(**{**self.options, **options})

    @property
    def options(self) -> dict[str, Any]:
        """All values, by name."""
        return {name: getattr(getattr(self, row.part), name) for name, row in FIELDS.items()}

    @property
    def result_options(self) -> dict[str, Any]:
        """The options that change results, as JSON has them; no paths of inputs, no resources."""
        return {
            name: plain(value)
            for name, value in self.options.items()
            if RESULTS in FIELDS[name].shapes
        }

    @property
    def result_hash(self) -> str:
        """SHA-256 of `result_options`."""
        canonical = json.dumps(self.result_options, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


_PARTS: Mapping[str, Any] = {
    name: hint for name, hint in get_type_hints(Settings).items() if dataclasses.is_dataclass(hint)
}
# All fields by name, in the order of ``--help`` within each group, and those with a flag.
FIELDS: Mapping[str, Option] = {
    option.name: option for part, own in _PARTS.items() for option in options_of(part, own)
}
OPTIONS: Mapping[str, Option] = {
    name: option for name, option in FIELDS.items() if name not in FILE_ONLY
}
# What completes names, and shows what a function takes, reads the signature.
_KEYWORDS = [
    inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if option.default is REQUIRED else option.default,
    )
    for name, option in FIELDS.items()
]
_SELF = inspect.Parameter("cls", inspect.Parameter.POSITIONAL_OR_KEYWORD)
vars(Settings)["of"].__func__.__signature__ = inspect.Signature([_SELF, *_KEYWORDS])


def to_toml(settings: Settings, shown: Callable[[str], str] = str) -> str:
    """Return settings as TOML text, a table for each group of options.

    Parameters
    ----------
    settings
        All options of the call.
    shown
        Turns each text, as a path, into what is written.
    """
    import tomli_w

    tables: dict[str, dict[str, Any]] = {}
    for name, value in settings.options.items():
        if value is not None:
            tables.setdefault(FIELDS[name].group, {})[name] = _shown(plain(value), shown)
    return "".join(map(_seen, tomli_w.dumps(tables)))


def _seen(char: str) -> str:
    """Return a character of TOML, or its escape where it would act on who reads the file."""
    if char == "\n" or visible(char) == char:
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def read_options(
    path: Path, choices: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> dict[str, Any]:
    """Read the options that a TOML file gives.

    Parameters
    ----------
    path
        A file as `to_toml` writes it; any subset of the options.
    choices
        Legal values of options that choose a row of a table, by the option's name.

    Returns
    -------
    dict
        Values by field name, converted to the fields' types.

    Raises
    ------
    SettingsError
        If the file cannot be read, or names an unknown option or a wrong value.
    """
    try:
        tables = read_toml(path)
    except ForeignFileError as err:
        raise err.as_kind(SettingsError) from err
    groups = {option.group for option in FIELDS.values()}
    values: dict[str, Any] = {}
    for table, content in tables.items():
        if table not in groups or not isinstance(content, dict):
            raise SettingsError(
                f"{path} has the entry '{table}'", expected=f"tables {', '.join(sorted(groups))}"
            )
        for name, value in content.items():
            if name not in FIELDS or FIELDS[name].group != table:
                options = [n for n, option in FIELDS.items() if option.group == table]
                raise SettingsError(
                    f"{path} sets the unknown option '{name}' in [{table}]",
                    expected=f"one of {', '.join(options)}",
                    remedy=did_you_mean(name, options),
                )
            values[name] = convert(value, FIELDS[name].hint, f"{path}: {name}", choices.get(name))
    return values


def _shown(value: Any, shown: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return shown(value)
    return [_shown(item, shown) for item in value] if isinstance(value, list) else value
