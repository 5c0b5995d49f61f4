from __future__ import annotations

import dataclasses

from bids_dtg.contrasts.phantom.parameters import VERSION, PhantomParameters


def test_the_calibrated_phantom_is_frozen():
    # Raise VERSION, calibrate and train anew, and only then store another hash.
    frozen = "681a787384234af77237e9bbe8f354ac9f8d137af0586a2935c7085e93155778"
    assert (VERSION, PhantomParameters().hash) == (1, frozen)


def test_any_field_changes_the_hash():
    default = PhantomParameters()
    changed = [
        dataclasses.replace(default, shift_mm=3.0),
        dataclasses.replace(default, truth="linear"),
        dataclasses.replace(default, task_gains=default.task_gains[::-1]),
    ]
    assert len({default.hash, *(parameters.hash for parameters in changed)}) == 4
