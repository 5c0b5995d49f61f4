"""Which contrasts, and which kinds of files, are written of an average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bids_dtg.files.provenance import MADE
from bids_dtg.inputs.statmaps import chosen_contrasts
from bids_dtg.notices import counted
from bids_dtg.settings.option import find_row

if TYPE_CHECKING:
    from bids_dtg.contrasts.contrast import Contrast

MAPS = "maps"
HALF_WIDTHS, REGIONS = "half-widths", "regions"
# What is written, by the values of ``--write``. Connectomes have an option of their own.
WRITES: Mapping[str, str] = MappingProxyType(
    {
        MAPS: "predicted maps",
        HALF_WIDTHS: "half-widths of their intervals",
        REGIONS: "tables of means over the parcels of --atlases",
    }
)


@dataclass(frozen=True)
class Choice:
    """What is written of an average; a later call that asks for more adds to it."""

    known: tuple[Contrast, ...]  # all that the model predicts
    labels: frozenset[str]  # of the chosen ones
    kinds: frozenset[str]  # values of ``--write``

    @classmethod
    def of(
        cls, known: Sequence[Contrast], contrasts: Sequence[str], kinds: Sequence[str]
    ) -> Choice:
        """Choose by the options; none given: everything.

        Parameters
        ----------
        known
            The model's contrasts.
        contrasts
            Labels or tasks, of ``--contrast``.
        kinds
            Of ``--write``.

        Raises
        ------
        SettingsError
            A name is unknown.
        """
        for kind in kinds:
            find_row(WRITES, "--write", kind)
        tasks = {contrast.label: contrast.task for contrast in known}
        labels = chosen_contrasts(contrasts, tasks, lack="the model does not predict")
        return cls(
            tuple(known),
            frozenset(labels or tasks),
            frozenset(kinds or WRITES),
        )

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """The chosen contrasts, in the model's order."""
        return tuple(contrast for contrast in self.known if contrast.label in self.labels)

    def with_made(self, record: Mapping[str, Any]) -> Choice:
        """Return this choice with what a completion record says is there already.

        Parameters
        ----------
        record
            Of the average; empty: nothing was made.
        """
        made = self._made(record)
        return Choice(self.known, self.labels | made.labels, self.kinds | made.kinds)

    def lacking(self, record: Mapping[str, Any]) -> str | None:
        """Say what of this choice a completion record lacks; None: nothing."""
        made = self._made(record)
        labels = [row.label for row in self.contrasts if row.label not in made.labels]
        kinds = [kind for kind in WRITES if kind in self.kinds - made.kinds]
        found = [f"{counted(len(labels), 'contrast')} ({labels[0]}, ...)"] if labels[1:] else labels
        return f"not written yet: {', '.join([*found, *kinds])}" if found or kinds else None

    def to_json(self) -> dict[str, list[str]]:
        """Return what a completion record keeps; nothing where the default is written."""
        everything = Choice.of(self.known, (), ())
        if self == everything:
            return {}
        return {
            "contrast": [contrast.label for contrast in self.contrasts],
            "write": [kind for kind in WRITES if kind in self.kinds],
        }

    @property
    def words(self) -> str:
        """What is written, in a few words."""
        maps = counted(len(self.labels), "map")
        if MAPS in self.kinds:
            return maps
        return f"{', '.join(kind for kind in WRITES if kind in self.kinds)} of {maps}"

    def _made(self, record: Mapping[str, Any]) -> Choice:
        """Return what a record says is there; one that does not say so has the default."""
        if not record:
            return Choice(self.known, frozenset(), frozenset())
        everything = Choice.of(self.known, (), ())
        made = record.get(MADE)
        if not isinstance(made, dict):
            return everything
        found = {
            key: frozenset(filter(lambda one: isinstance(one, str), value))
            for key, value in made.items()
            if isinstance(value, list)
        }
        return Choice(
            self.known,
            everything.labels & found.get("contrast", frozenset()),
            found.get("write", frozenset()) & WRITES.keys(),
        )
