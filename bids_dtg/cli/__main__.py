"""Run ``bids_dtg`` as ``python -m bids_dtg.cli``."""

from bids_dtg.cli.run import run

run()
