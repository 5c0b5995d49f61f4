from __future__ import annotations

import dataclasses

from bids_dtg.contrasts.phantom.parameters import VERSION_2, PhantomParameters


def test_the_calibrated_phantoms_are_frozen():
    # A changed parameter makes a new version: calibrate and train anew, then store its hash.
    first = "681a787384234af77237e9bbe8f354ac9f8d137af0586a2935c7085e93155778"
    second = "259d4187fde7866fbcec45bedd0aab5c3d18a1815edbe679bf90013acf4cc0c4"
    assert (PhantomParameters().version, PhantomParameters().hash) == (1, first)
    assert (VERSION_2.version, VERSION_2.hash) == (2, second)


def test_any_field_changes_the_hash():
    default = PhantomParameters()
    changed = [
        dataclasses.replace(default, shift_mm=3.0),
        dataclasses.replace(default, truth="linear"),
        dataclasses.replace(default, task_gains=default.task_gains[::-1]),
    ]
    assert len({default.hash, *(parameters.hash for parameters in changed)}) == 4
