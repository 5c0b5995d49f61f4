"""A builder of small models of responses without a network, and of their bundles."""

from __future__ import annotations

from pathlib import Path

from own_trials_people import simulated

from bids_dtg.bundles.fitted import FittedFacts
from bids_dtg.twin.bundle.mixed_effects import MixedEffectsBundle, write_mixed_effects_bundle
from bids_dtg.twin.own_trials.closed_form import ClosedForm
from bids_dtg.twin.tasks import find_task

STROOP = find_task("stroop")
PEOPLE = 12
TINY_FACTS = FittedFacts(
    name="tiny", data_set="Tiny study", for_science=False, notice="trials made by chance, for tests"
)


def tiny_form(*, one_sequence: bool = True) -> ClosedForm:
    """Learn from people simulated from levels, spreads and trial means."""
    return ClosedForm.learn(simulated(PEOPLE, own=0, one_sequence=one_sequence), STROOP)


def write_tiny_mixed_effects(folder: Path, form: ClosedForm | None = None) -> MixedEffectsBundle:
    """Write the bundle of a form; None: a new one."""
    labels = [f"p{number}" for number in range(PEOPLE)]
    return write_mixed_effects_bundle(
        folder, [form or tiny_form()], TINY_FACTS, dict.fromkeys(labels, ())
    )
