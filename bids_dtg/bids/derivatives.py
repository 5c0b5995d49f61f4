"""The output dataset: a BIDS derivative dataset that many processes may write at once."""

from __future__ import annotations

from bids_dtg.bids.atomic import (
    remove_stale_temporaries,
    write_atomic,
    write_json,
    write_text,
    write_tsv,
)

__all__ = ["remove_stale_temporaries", "write_atomic", "write_json", "write_text", "write_tsv"]
