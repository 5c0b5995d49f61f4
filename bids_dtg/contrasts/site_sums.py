"""What sums of maps, which sites exchange in place of people's data, belong to.

They belong to a mask, ROI maps, contrasts and a form of the connectome: sums of others are refused
(`bids_dtg.bundles.site_sums`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.contrasts.kind import ModelSpace
from bids_dtg.contrasts.people import Person
from bids_dtg.errors import DtgError
from bids_dtg.files.foreign import parse_json
from bids_dtg.files.tensors import read_arrays

# What sums of any kind must share to be added, in words.
OVER = "mask, ROI maps, contrasts, cells or parcels, form and sample of the connectome"


def space_facts(space: ModelSpace, contrasts: Sequence[str]) -> dict[str, Any]:
    """Return the facts that sums of any kind must share to be added."""
    facts: dict[str, Any] = {
        "mask": space.mask_sha256,
        "roi_maps": space.roi_maps_sha256,
        "contrasts": list(contrasts),
    }
    # Files without these equal those written before there were others.
    facts |= {} if space.form == MARGINAL else {"form": space.form.to_json()}
    return facts | ({"sample": "session"} if space.joins_runs else {})


def form_of_sums(files: Sequence[str], form: Form) -> Form:
    """Return a form with the ridge of other sites' sums, so that it is not chosen anew.

    Parameters
    ----------
    files
        Of sums, as ``--add-sums`` names them; the first one counts.
    form
        Form of the connectomes; unchanged if there are no sums, or none of this form.
    """
    if not files:
        return form
    # The reader of the sums reports errors in a file.
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, DtgError):
        _, notes = read_arrays(Path(files[0]))
        found = parse_json(notes["facts"], files[0])["form"]
        if found["name"] == form.name:
            return dataclasses.replace(form, ridge=float(found["ridge"]))
    return form


def identities(people: Sequence[Person]) -> tuple[str, ...]:
    """Return the labels of people, each with a fingerprint of the data."""
    return tuple(f"{person.label} {person.fingerprint()}" for person in people)
