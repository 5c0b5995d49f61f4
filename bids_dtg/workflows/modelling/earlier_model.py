"""A model that is where a new one would go."""

from __future__ import annotations

from pathlib import Path

from bids_dtg.errors import SettingsError
from bids_dtg.settings import OPTIONS, Settings
from bids_dtg.settings.toml import read_options

CONFIGURATION_FILE = "configuration.toml"  # of an analysis, in its folder

# Groups of options that a model depends on, and options in them that it does not.
_SHAPING = ("input", "selection", "model", "cleaning", "modelling")
_FREE = {"output_dir", "device", "gpus", "bids_database_dir", "templateflow_download"}


def refuse_other_model(settings: Settings, folder: Path) -> None:
    """Refuse to begin where a model lies that other options made.

    The same options make the same model, so that a command can be given again.

    Raises
    ------
    SettingsError
        Naming the options that differ.
    """
    bundle = folder / "bundle"
    if not bundle.exists():
        return
    differing = _differing(settings, folder / CONFIGURATION_FILE)
    if differing or settings.modelling.analysis == "calibrate":
        how = f", made with other options ({', '.join(differing)})" if differing else ""
        raise SettingsError(
            f"{bundle} holds a model already{how}",
            remedy=f"choose another --model-name, or remove {bundle} to make it anew",
        )


def _differing(settings: Settings, path: Path) -> list[str]:
    """Return the options that are not those in a file; all where it cannot be read."""
    try:
        earlier = read_options(path)
    except SettingsError:
        return ["unknown"]
    fields = [
        option.field
        for name, option in OPTIONS.items()
        if option.field.metadata["group"] in _SHAPING and name not in _FREE
    ]
    return [
        "--" + f.name.replace("_", "-")
        for f in fields
        if earlier.get(f.name, f.default) != settings.options[f.name]
    ]
