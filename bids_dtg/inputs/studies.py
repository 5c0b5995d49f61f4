"""Studies whose folders have names of their own: how they are laid out."""

from __future__ import annotations

from collections.abc import Mapping

from bids_dtg.inputs.folder_runs import Study
from bids_dtg.inputs.hcp import HCP
from bids_dtg.inputs.ukb import UKB
from bids_dtg.settings import InputType

STUDIES: Mapping[InputType, Study] = {"hcp": HCP, "ukb": UKB}
