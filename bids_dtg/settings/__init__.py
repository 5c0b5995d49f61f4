"""Everything that a run depends on: one frozen object, composed of a part for each concern.

Each option is written once, as a field of its part: the command line, the TOML file, the
hash and the documentation are all made from `OPTIONS`. A step of the program is given the
part that it needs, as `settings.cleaning`, not the whole.

- `parts`: the parts: a dataclass for each concern, an option a field
- `option`: an option: a field that is also an argument and a TOML key
- `checks`: values, and options together, that make no sense
- `toml`: the TOML file, and how it merges with the command line
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from bids_dtg.errors import SettingsError
from bids_dtg.settings.checks import check
from bids_dtg.settings.option import RESULTS, convert, plain
from bids_dtg.settings.parts import (
    FILE_ONLY,
    SCRUBBING_FD_MM,
    BehaviourOptions,
    CleaningOptions,
    Combine,
    DynamicsOptions,
    InputChoice,
    InputOptions,
    InputType,
    Interpolation,
    ModellingOptions,
    OutputOptions,
    ResourceOptions,
    StatisticsOptions,
    TwinOptions,
)

__all__ = [
    "FIELDS",
    "OPTIONS",
    "SCRUBBING_FD_MM",
    "BehaviourOptions",
    "CleaningOptions",
    "Combine",
    "DynamicsOptions",
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
    "TwinOptions",
    "plain",
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
    dynamics: DynamicsOptions = field(default_factory=DynamicsOptions)  # of the network model
    twin: TwinOptions = field(default_factory=TwinOptions)  # of the digital twin
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
            option = _option(name)
            parts[option.part][name] = convert(value, option.hint, typed(name))
        required = [name for name, row in FIELDS.items() if row.default is dataclasses.MISSING]
        if lacking := [typed(name) for name in required if name not in options]:
            raise SettingsError(
                f"{', '.join(lacking)}: neither on the command line nor in a file of options",
                expected=" ".join(map(typed, required)),
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


@dataclass(frozen=True)
class Option:
    """What an option is: see `bids_dtg.settings.option.option`."""

    name: str
    part: str  # field of `Settings` that it belongs to
    hint: Any  # type of its values
    default: Any  # `dataclasses.MISSING`: it is required
    group: str  # heading in ``--help`` and table in the TOML file
    help: str
    flags: tuple[str, ...]  # empty: the one that follows from its name
    metavar: str | None
    shapes: tuple[str, ...]  # what changes with it: `RESULTS`, `MODELS`
    shown_default: str | Mapping[str, str] | None

    @classmethod
    def all_of(cls, part: str, options: type) -> Iterator[Option]:
        """Yield the options of a part of the settings."""
        hints = get_type_hints(options)
        for own in dataclasses.fields(options):
            facts = dict(own.metadata)
            if facts["shapes"] is None:
                facts["shapes"] = getattr(options, "SHAPES", ())
            yield cls(own.name, part, hints[own.name], own.default, **facts)


def typed(name: str) -> str:
    """Return an option as it is typed: a flag, or the name of an argument without one.

    Examples
    --------
    >>> typed("mem_gb"), typed("output_dir")
    ('--mem-gb', 'OUTPUT_DIR')
    """
    places = ("bids_dir", "output_dir", "analysis_level")
    return name.upper() if name in places else "--" + name.replace("_", "-")


def _option(name: str) -> Option:
    if name in FIELDS:
        return FIELDS[name]
    near = difflib.get_close_matches(name, FIELDS, n=1)
    raise SettingsError(
        f"no option is called {name!r}",
        expected="options as on the command line, with _ for -",
        remedy=f"did you mean {near[0]}?" if near else "see bids_dtg --help",
    )


_PARTS: Mapping[str, Any] = {
    name: hint for name, hint in get_type_hints(Settings).items() if dataclasses.is_dataclass(hint)
}
# All fields by name, in the order of ``--help`` within each group, and those with a flag.
FIELDS: Mapping[str, Option] = {
    option.name: option for part, own in _PARTS.items() for option in Option.all_of(part, own)
}
OPTIONS: Mapping[str, Option] = {
    name: option for name, option in FIELDS.items() if name not in FILE_ONLY
}
# What completes names, and shows what a function takes, reads the signature.
setattr(  # noqa: B010
    Settings.of.__func__,  # type: ignore[attr-defined]
    "__signature__",
    inspect.Signature(
        [
            inspect.Parameter("cls", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *(
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty
                    if option.default is dataclasses.MISSING
                    else option.default,
                )
                for name, option in FIELDS.items()
            ),
        ]
    ),
)
