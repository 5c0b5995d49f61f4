"""The self-check of a model: what was looked at, whether it passed, and the lines that say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.bundles.kinds import all_kinds
from bids_dtg.errors import BundleError
from bids_dtg.notices import counted

_VERDICTS = {True: "pass", False: "FAIL", None: "skipped"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str  # what, in a few words
    passed: bool | None  # None: it cannot be looked at here
    words: str  # what was found, or why nothing was


def run_selftest(bundle: Bundle[Any]) -> list[Check]:
    """Put a simulated input through a model and judge what comes out.

    Parameters
    ----------
    bundle
        A verified model of any kind.

    Returns
    -------
    What was looked at; empty where the kind has no self-check.

    Raises
    ------
    BundleError
        The weights cannot be read.
    """
    check = all_kinds()[bundle.card.kind].selftest
    return [] if check is None else check(bundle)


def selftest_lines(bundle: Bundle[Any], checks: Sequence[Check]) -> list[str]:
    """Return a line for each check, and the verdict last."""
    card = bundle.card
    title = f"{card.name} {card.version}"
    if not checks:
        return [f"{title}: a {card.kind} has no self-check; dtg-models verify compares its bytes"]
    widest = max(len(check.name) for check in checks)
    lines = [
        f"  {_VERDICTS[check.passed]:<8} {check.name:<{widest}}  {check.words}" for check in checks
    ]
    skipped = sum(check.passed is None for check in checks)
    passed = sum(bool(check.passed) for check in checks)
    failed = len(checks) - skipped - passed
    words = [counted(passed, "check") + " passed"]
    words += [f"{failed} failed"] if failed else []
    words += [f"{skipped} skipped"] if skipped else []
    return [*lines, f"{title}: self-check {'failed' if failed else 'passed'}: {', '.join(words)}"]


def require_passed(bundle: Bundle[Any], checks: Sequence[Check]) -> None:
    """Refuse a model that failed its self-check.

    Raises
    ------
    BundleError
        Naming what failed.
    """
    failed = [check for check in checks if check.passed is False]
    if failed:
        raise BundleError(
            f"{bundle.path} failed its self-check: {failed[0].name}: {failed[0].words}",
            remedy="do not use its maps; fetch or make the model again, and report it where it "
            "fails again",
        )
