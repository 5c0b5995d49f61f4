"""Options of networks and connectomes, which models without them refuse."""

from __future__ import annotations

from bids_dtg.errors import SettingsError
from bids_dtg.notices import named
from bids_dtg.settings import OPTIONS, Settings
from bids_dtg.settings.option import rest_option
from bids_dtg.twin.recipe import MIXED_EFFECTS

_OF_NETWORKS = (
    *("recipe", "epochs", "batch_size", "learning_rate", "device"),
    *("input_arrays", "array_key", "covariates", "participants_file", "combine"),
)


def refuse_network_options(settings: Settings) -> None:
    """Refuse options of networks and connectomes beside a model that has neither.

    Raises
    ------
    SettingsError
        Naming them.
    """
    given = [
        name
        for name, value in settings.options.items()
        if (name in _OF_NETWORKS or OPTIONS[name].workflows == rest_option.workflows)
        and value != OPTIONS[name].field.default
    ]
    if given:
        flags = [f"--{name.replace('_', '-')}" for name in given]
        raise SettingsError(
            f"{named(flags)} {'was' if len(given) == 1 else 'were'} given with a {MIXED_EFFECTS} "
            "model, which has no network and reads no connectome",
            expected=f"no {', no '.join(flags)}, or a model of another --architecture",
        )
