"""Files of sums of a weighted linear model, which sites exchange in two rounds.

A file of the first round has what means and weights of everybody follow from, and the ROI maps. One
of the second round has sums of fits to deviations from these means, and holds for them alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bids_dtg.bundles.site_sums import SumsFile
from bids_dtg.contrasts.kind import LINEAR_MEANS, LINEAR_SUMS, ModelSpace
from bids_dtg.contrasts.people import MeanMaps
from bids_dtg.contrasts.site_sums import OVER, space_facts
from bids_dtg.contrasts.weighted_sums import SET_ARRAYS, SHORTER_MINUTES, FirstSums, SetSums
from bids_dtg.errors import BundleError, DtgError
from bids_dtg.files.foreign import parse_json
from bids_dtg.files.tensors import TensorFile, read_arrays
from bids_dtg.notices import counted

_ROI_MAPS, _ONLY_FIRST = "roi_maps", "spread"
_MEANS = SumsFile(
    kind="a weighted linear model's first round",
    name=LINEAR_MEANS,
    arrays=(
        *("feature_sum", _ONLY_FIRST, "centred_sum", "size_sum", "map_sum", "measured"),
        *("minutes", "connectomes", "lengths", _ROI_MAPS),
    ),
    over=OVER,
)
Sums = tuple[SetSums, ...]  # of the second round: of the sets' shapes, then of their sizes


@dataclass(frozen=True, eq=False)
class OtherSites:
    """Sums of other sites, by the hashes of their people."""

    first: dict[tuple[str, ...], FirstSums]
    second: Mapping[tuple[str, ...], Sums]
    paths: Mapping[tuple[str, ...], Path]  # of the first round

    @classmethod
    def read(
        cls,
        files: Sequence[str],
        space: ModelSpace,
        contrasts: Sequence[str],
        own: Sequence[str] | None,
    ) -> OtherSites:
        """Read the files of both rounds.

        Parameters
        ----------
        files
            As ``--add-sums`` names them.
        space, contrasts
            Those of the model.
        own
            Hashes of one's own people; None: not known yet.

        Raises
        ------
        BundleError
            A file is damaged, of something else or of people who are in another one; or sums are
            of people without means, or by other means than those of these people.
        """
        paths = [Path(name) for name in files]
        firsts = [path for path in paths if _ONLY_FIRST in TensorFile(path).names()]
        first, places, known = {}, {}, list(own or ())
        for path in firsts:
            sums, people = _read_first(path, space, contrasts)
            _MEANS.require_others(path, people, known)
            known += people
            first[people], places[people] = sums, path
        second: dict[tuple[str, ...], Sums] = {}
        for path in paths:
            if path in firsts:
                continue
            everybody = None if own is None else _digest(known)
            of_site, people = _read_second(path, space, contrasts, everybody)
            if people not in first:
                raise BundleError(
                    f"{path} has sums of people whose means are in no other file",
                    expected=f"{LINEAR_MEANS} of the same site, too",
                )
            _MEANS.require_others(path, people, [label for one in second for label in one])
            second[people] = of_site
        return cls(first, second, places)

    @property
    def people(self) -> int:
        """How many people there are."""
        return sum(map(len, self.paths))

    def added_to(self, own: FirstSums) -> FirstSums:
        """Add the first rounds to one's own, in place; of each site they are let go."""
        while self.first:
            own += self.first.popitem()[1]
        return own

    def require_both_rounds(self, made: Path) -> None:
        """Refuse a file of the first round alone.

        Parameters
        ----------
        made
            File with the second round of one's own people, for the other sites.

        Raises
        ------
        BundleError
            There is one.
        """
        alone = [path for people, path in self.paths.items() if people not in self.second]
        if alone:
            raise BundleError(
                f"{alone[0]} is of the first round, and gives means alone",
                expected=f"{LINEAR_SUMS} of its {counted(len(next(iter(self.paths))), 'person')}"
                if len(self.paths) == 1
                else f"{LINEAR_SUMS} of the same people",
                remedy=f"send {made.parent / LINEAR_MEANS} and {made}, which was made by the means "
                "of all, to the other sites; --add-sums takes both files of each of them",
            )


def write_first(
    folder: Path, first: FirstSums, space: ModelSpace, contrasts: Sequence[str], people: Any
) -> None:
    """Write the file of the first round; `people` are from `identities`."""
    arrays = SimpleNamespace(
        feature_sum=first.feature_sum,
        spread=first.spread,
        centred_sum=first.centred_sum,
        size_sum=first.size_sum,
        map_sum=first.maps.total,
        measured=first.maps.count,
        # Numbers in files are finite.
        minutes=np.array([0.0 if np.isnan(first.minutes) else first.minutes]),
        connectomes=np.array([first.connectomes]),
        lengths=np.array(first.lengths, np.float64),
        roi_maps=np.asarray(space.roi_maps),
    )
    _MEANS.write(folder / LINEAR_MEANS, arrays, _facts(space, contrasts, "means"), people)


def write_second(
    folder: Path,
    sums: Sums,
    space: ModelSpace,
    contrasts: Sequence[str],
    people: Sequence[str],
    everybody: Sequence[str],
) -> Path:
    """Write the file of the second round, and return its path.

    Parameters
    ----------
    folder
        Where to.
    sums, space, contrasts
        Of a model.
    people
        From `identities`.
    everybody
        Hashes of the people whose means the sums are by.
    """
    held = {
        f"{number}.{name}": getattr(of_set, name)
        for number, of_set in enumerate(sums)
        for name in SET_ARRAYS
    }
    facts = _facts(space, contrasts, "sums") | {"means": _digest(everybody)}
    path = folder / LINEAR_SUMS
    _second_file(space).write(path, SimpleNamespace(**held), facts, people)
    return path


def _second_file(space: ModelSpace) -> SumsFile:
    parts = range(2 * len(_sets(space)))
    names = tuple(f"{number}.{name}" for number in parts for name in SET_ARRAYS)
    return SumsFile("a weighted linear model", LINEAR_SUMS, names, OVER)


def _sets(space: ModelSpace) -> tuple[int, ...]:
    return space.form.sets or (space.rois,)


def _facts(space: ModelSpace, contrasts: Sequence[str], of_round: str) -> dict[str, Any]:
    return space_facts(space, contrasts) | {"sets": list(_sets(space)), "round": of_round}


def _digest(people: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(sorted(people)).encode()).hexdigest()


def _read_first(
    path: Path, space: ModelSpace, contrasts: Sequence[str]
) -> tuple[FirstSums, tuple[str, ...]]:
    arrays, people = _MEANS.read(path, _facts(space, contrasts, "means"))
    rois, places = space.rois, space.places.number
    maps = (len(contrasts), places)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        **dict.fromkeys(("feature_sum", _ONLY_FIRST, "centred_sum"), ("f", (rois, places))),
        "size_sum": ("f", (rois,)),
        "map_sum": ("f", maps),
        "measured": ("i", maps),
        "minutes": ("f", (1,)),
        "connectomes": ("i", (1,)),
        "lengths": ("f", arrays["lengths"].shape[:1]),
    }
    _MEANS.check_shapes(path, arrays, shapes)
    _MEANS.check_counts(path, arrays, {"measured": len(people)})
    for name in (_ONLY_FIRST, "size_sum", "minutes"):
        if arrays[name].min(initial=0) < 0:
            raise _MEANS.error(path, f"{name} has values below 0")
    if arrays["connectomes"][0] < len(people):
        raise _MEANS.error(path, "connectomes are fewer than people")
    minutes = float(arrays["minutes"][0])
    sums = FirstSums(
        people=len(people),
        feature_sum=arrays["feature_sum"],
        spread=arrays[_ONLY_FIRST],
        centred_sum=arrays["centred_sum"],
        size_sum=arrays["size_sum"],
        maps=MeanMaps(arrays["map_sum"], arrays["measured"]),
        minutes=minutes or float("nan"),
        connectomes=int(arrays["connectomes"][0]),
        lengths=tuple(arrays["lengths"].tolist()),
    )
    return sums, people


def _read_second(
    path: Path, space: ModelSpace, contrasts: Sequence[str], means: str | None
) -> tuple[Sums, tuple[str, ...]]:
    """Read sums by the means of a digest; None: by any."""
    theirs = None
    # The reader reports errors in the file.
    with suppress(OSError, ValueError, KeyError, TypeError, DtgError):
        _, notes = read_arrays(path)
        theirs = parse_json(notes["facts"], str(path))["means"]
    file = _second_file(space)
    arrays, people = file.read(path, _facts(space, contrasts, "sums") | {"means": theirs})
    if means is not None and means != theirs:
        raise BundleError(
            f"{path} has sums by the means of others than one's own people and these files'",
            expected=f"a {LINEAR_SUMS} that its site made with the {LINEAR_MEANS} of all sites",
        )
    found = []
    for number, rois in enumerate((*_sets(space), *_sets(space))):
        of_set = {name: arrays[f"{number}.{name}"] for name in SET_ARRAYS}
        groups = len(np.atleast_1d(of_set["gram"]))
        shapes = _shapes(len(contrasts), rois, 1 if groups == 1 else len(contrasts))
        named = {f"{number}.{name}": wanted for name, wanted in shapes}
        file.check_shapes(path, arrays, named)
        file.check_counts(path, arrays, {f"{number}.fitted": len(people)})
        if np.diagonal(of_set["gram"], axis1=1, axis2=2).min(initial=0) < 0:
            raise file.error(path, f"{number}.gram has sums of squares below 0")
        found.append(SetSums(**of_set))
    return tuple(found), people


def _shapes(
    contrasts: int, rois: int, groups: int
) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    yield "fit_sum", ("f", (contrasts, 1, 1 + rois))
    yield "fitted", ("i", (contrasts, 1))
    yield "gram", ("f", (groups, rois, rois))
    for name in ("cross", "left_cross", "fit_gram"):
        yield name, ("f", (contrasts, rois))
    for name in ("fit_products", "fit_squares"):
        yield name, ("f", (contrasts,))
    yield "square", ("f", (1,))
    yield "shorter", ("f", (len(SHORTER_MINUTES), rois))
