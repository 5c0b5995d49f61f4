"""The one atlas of a call."""

from pathlib import Path

import pytest

from bids_dtg.errors import SettingsError
from bids_dtg.participants.parcels.request import read_atlases
from bids_dtg.settings import InputOptions, Settings


def test_a_models_atlas_that_has_no_known_name_is_asked_for(tmp_path: Path) -> None:
    inputs = InputOptions(tmp_path, tmp_path / "out", "participant")
    settings = Settings(inputs=inputs)
    with pytest.raises(SettingsError, match="model's atlas Mine cannot be found") as caught:
        read_atlases(settings, "twin", "Mine")
    assert "--atlases FILE" in str(caught.value)
