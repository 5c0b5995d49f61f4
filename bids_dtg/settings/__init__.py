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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from bids_dtg.errors import SettingsError
from bids_dtg.settings.checks import check, check_meaning
from bids_dtg.settings.option import RESULTS, plain, require_kind
from bids_dtg.settings.parts import (
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
        given = {
            name: OPTIONS[name].workflows
            for name, value in self.options.items()
            if value != OPTIONS[name].field.default
        }
        check_meaning(given, self.inputs.workflow)
        check(self)

    @classmethod
    def of(cls, **options: Any) -> Settings:
        """Compose settings from options by their names, as in a TOML file.

        Raises
        ------
        SettingsError
            There is no option of a name, or its value is of another kind.
        """
        parts: dict[str, dict[str, Any]] = {name: {} for name in _PARTS}
        for name, value in options.items():
            option = _option(name)
            require_kind(f"--{name.replace('_', '-')}", value, option.hint)
            is_path = isinstance(value, str) and option.hint in (Path, Path | None)
            parts[option.part][name] = Path(value) if is_path else value
        return cls(**{name: _PARTS[name](**values) for name, values in parts.items()})

    def replace(self, **options: Any) -> Settings:
        """Return these settings with some options changed, by their names."""
        return Settings.of(**{**self.options, **options})

    @property
    def options(self) -> dict[str, Any]:
        """All options, by name."""
        return {name: getattr(getattr(self, option.part), name) for name, option in OPTIONS.items()}

    @property
    def result_options(self) -> dict[str, Any]:
        """The options that change results, as JSON has them; no paths of inputs, no resources."""
        return {
            name: plain(value)
            for name, value in self.options.items()
            if RESULTS in OPTIONS[name].field.metadata["shapes"]
        }

    @property
    def result_hash(self) -> str:
        """SHA-256 of `result_options`."""
        canonical = json.dumps(self.result_options, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class Option:
    """Where an option stands, and what it may be."""

    part: str  # field of `Settings` that it belongs to
    field: dataclasses.Field[Any]  # default and metadata, as `option` wrote them
    hint: Any  # type of its values

    @property
    def group(self) -> str:
        """Heading in ``--help`` and table in the TOML file."""
        return str(self.field.metadata["group"])

    @property
    def workflows(self) -> tuple[str, ...]:
        """Workflows in which it has a meaning; none: all have it."""
        return tuple(self.field.metadata["workflows"])

    @property
    def everyday(self) -> bool:
        """Whether ``--help`` shows it where neither a workflow nor an analysis is named."""
        return bool(self.field.metadata["everyday"])

    @property
    def brief(self) -> str:
        """Its explanation in a few words: up to the first semicolon."""
        return str(self.field.metadata["help"]).partition(";")[0]

    @property
    def default_words(self) -> str:
        """Its default as ``--help`` shows it; empty where that goes without saying."""
        shown = self.field.metadata["shown_default"]
        value = (shown[""] if isinstance(shown, Mapping) else shown) or self.field.default
        # Of a flag, and of how often one is given, everybody knows it.
        if value in (None, (), "") or self.hint is bool or self.field.name == "verbose":
            return ""
        return " ".join(value) if isinstance(value, tuple) else str(value)

    @property
    def defaults_of(self) -> Mapping[str, str]:
        """The same for single workflows and analyses, by their names, where it is another one."""
        shown = self.field.metadata["shown_default"]
        found = shown if isinstance(shown, Mapping) else {}
        return {name: words for name, words in found.items() if name}

    @property
    def files_or_names(self) -> bool:
        """Whether each of its values is a file where there is one, else a name."""
        return bool(self.field.metadata["files_or_names"])


def _option(name: str) -> Option:
    if name in OPTIONS:
        return OPTIONS[name]
    near = difflib.get_close_matches(name, OPTIONS, n=1)
    raise SettingsError(
        f"no option is called {name!r}",
        expected="options as on the command line, with _ for -",
        remedy=f"did you mean {near[0]}?" if near else "see bids_dtg --help",
    )


_PARTS: Mapping[str, Any] = {
    name: hint for name, hint in get_type_hints(Settings).items() if dataclasses.is_dataclass(hint)
}
# Every option by its name, in the order of ``--help`` within each group.
OPTIONS: Mapping[str, Option] = {
    option_field.name: Option(part, option_field, hints[option_field.name])
    for part, cls in _PARTS.items()
    for hints in [get_type_hints(cls)]
    for option_field in dataclasses.fields(cls)
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
                    if option.field.default is dataclasses.MISSING
                    else option.field.default,
                )
                for name, option in OPTIONS.items()
            ),
        ]
    ),
)
