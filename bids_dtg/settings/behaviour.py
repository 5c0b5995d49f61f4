"""Options on how the program behaves."""

from __future__ import annotations

from dataclasses import dataclass

from bids_dtg.settings.option import option


@dataclass(frozen=True)
class BehaviourOptions:
    """What a call does instead of maps and reports, and how much it prints."""

    reports_only: bool = option(
        "behaviour",
        "make the reports anew from what OUTPUT_DIR holds, and nothing else",
        default=False,
    )
    boilerplate_only: bool = option(
        "behaviour", "write and print the methods text, and nothing else", default=False
    )
    no_reports: bool = option("behaviour", "make no reports", default=False)
    dry_run: bool = option(
        "behaviour",
        "print what would be read, written and skipped, and stop",
        default=False,
    )
    skip_bids_validation: bool = option(
        "behaviour", "accepted for compatibility: inputs are never validated", default=False
    )
    notrack: bool = option(
        "behaviour", "accepted for compatibility: nothing is ever tracked", default=False
    )
    verbose: int = option("behaviour", "more detail", default=0, flags=("-v",))
    debug: bool = option("behaviour", "show tracebacks of failures", default=False)
