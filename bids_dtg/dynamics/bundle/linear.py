"""Bundles of linear cores: written from a fit, and loaded.

A bundle holds the training people's mean covariances of regions, how strongly a person is shrunk
to them, how many people have each connection, components in which people differ, and what another
session showed of all this: nothing of a single person but a hash. With sums of other sites, the
mean is that of all sites' people; all else is of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.fitted import FittedPart, Shapes, write_fitted
from bids_dtg.bundles.people import ModelPeople
from bids_dtg.dynamics.bundle.core import GROUP, CoreBundle, CoreFacts, CorePart
from bids_dtg.dynamics.bundle.kind import LINEAR_DYNAMICS
from bids_dtg.dynamics.components import COMPONENTS, Components
from bids_dtg.dynamics.effective_connectivity import Connections, EffectiveModel, everywhere
from bids_dtg.dynamics.intervals import Spreads
from bids_dtg.dynamics.lag_covariances import LAGS
from bids_dtg.dynamics.linear import GRID, LinearModel
from bids_dtg.dynamics.regional import FIGURES
from bids_dtg.dynamics.retest import Retest

# Tensors of the weights beside `GROUP`: where connections are, of models with connectomes.
_SHARE, _HOMOTOPIC = "connected_share", "homotopic"
# Likewise: fields of `Components`.
_LOADINGS, _MEAN, _SD = "component_loadings", "component_mean", "component_sd"


@dataclass(frozen=True, kw_only=True)
class LinearPart(CorePart):
    """The part of the card of linear cores."""

    ORDER: ClassVar[tuple[str, ...]] = (
        *("format_version", "name", "version", "kind", "licence", "citation", "description"),
        *("training", "recipe_name", "regions", "people", "frames", "tr_seconds", "order"),
        *("transition_strength", "covariance_strength", "chosen_by", "unconnected"),
        *("connectomes", "transition_spread", "covariance_spread", "spreads_judged", "minutes"),
        *("regional_icc", "components", "component_icc"),
        *("data_set", "session", "atlas", "atlas_digest", "for_science", "notice", "files"),
    )

    # What its strengths were chosen by; empty: fixed, as people were too few.
    chosen_by: str = ""
    # People whose structural connectomes say where connections are; 0: between all regions.
    connectomes: int = 0
    # By which factor variances between sessions are larger than those of sampling.
    transition_spread: float = 1.0
    covariance_spread: float = 1.0
    spreads_judged: int = 0  # training people with two sessions that they were found on; 0: fixed
    # Minutes of rest, and mean r of functional connectivity with another session after as many.
    minutes: tuple[tuple[float, float], ...] = ()
    regional_icc: tuple[float, ...] = ()  # of `regional.FIGURES`; empty: not known
    components: int = 0  # features of people; 0: none
    component_icc: tuple[float, ...] = ()  # of each; empty: not known

    @property
    def shapes(self) -> Shapes:
        """Shapes of the model's tensors by name."""
        found: dict[str, tuple[int, ...]] = {GROUP: (LAGS + 1, self.regions, self.regions)}
        if self.connectomes:
            found |= dict.fromkeys((_SHARE, _HOMOTOPIC), (self.regions, self.regions))
        if self.components:
            edges = self.regions * (self.regions - 1) // 2
            found |= {_LOADINGS: (self.components, edges), _MEAN: (edges,)}
            found |= {_SD: (self.components,)}
        return found

    @property
    def spreads(self) -> Spreads:
        """By which factor variances between sessions are larger than those of sampling."""
        return Spreads(self.transition_spread, self.covariance_spread, self.spreads_judged)

    def to_json(self) -> dict[str, Any]:
        """Return the part's fields of `model.json`."""
        return asdict(self)

    @classmethod
    def read(cls, fields: JsonFields, files: Mapping[str, str]) -> LinearPart:
        """Read the part's fields of a card.

        Raises
        ------
        BundleError
            If a field is missing or wrong, or says something else than the card's `training`.
        """
        part = cls(
            chosen_by=fields.text("chosen_by"),
            # Cards of before know no connectomes.
            connectomes=0 if fields.absent("connectomes") else fields.count("connectomes"),
            transition_spread=fields.positive("transition_spread"),
            covariance_spread=fields.positive("covariance_spread"),
            spreads_judged=fields.count("spreads_judged"),
            minutes=tuple((m, r) for m, r in _list(fields, "minutes", (2,))),
            regional_icc=tuple(_list(fields, "regional_icc", ())),
            components=fields.count("components"),
            component_icc=tuple(_list(fields, "component_icc", ())),
            **cls.read_core(fields),
        )
        if part.components > COMPONENTS:
            raise fields.wrong("components", part.components, f"at most {COMPONENTS}")
        for name, found, of in (
            ("regional_icc", part.regional_icc, len(FIGURES)),
            ("component_icc", part.component_icc, part.components),
        ):
            if len(found) not in (0, of):
                raise fields.wrong(name, found, f"{of} numbers, or none")
        return part


def _list(fields: JsonFields, key: str, shape: tuple[int, ...]) -> list[Any]:
    """Read a list of finite numbers, or of lists of them, of any length."""
    found = fields.value(key)
    return fields.numbers(key, (len(found) if isinstance(found, list) else 0, *shape))


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearBundle(CoreBundle[LinearPart]):
    """A verified linear core."""

    PART: ClassVar[type[FittedPart]] = LinearPart

    def model(self) -> LinearModel:
        """Read the model.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        return self.linear_model(self.part.chosen_by)

    def effective(self) -> EffectiveModel:
        """Read what people's effective connectivity is fitted with.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        part, tensors = self.part, self.tensors()
        allowed = everywhere(part.regions)
        if part.connectomes:
            share = tensors[_SHARE].astype(np.float64)
            allowed = Connections(share, tensors[_HOMOTOPIC] > 0, part.connectomes).allowed
        group = tensors[GROUP].astype(np.float64)
        return EffectiveModel(group, part.covariance_strength, allowed, part.tr_seconds)

    def components(self) -> Components | None:
        """Read the components of people; None: the model has none.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        if not self.part.components:
            return None
        tensors = self.tensors()
        mean, loadings, sd = (tensors[name].astype(np.float64) for name in (_MEAN, _LOADINGS, _SD))
        return Components(mean, loadings, sd, reliability=self.part.component_icc)


def load_linear_bundle(name_or_path: str | Path) -> LinearBundle:
    """Find, verify and load the bundle of a linear core.

    Raises
    ------
    BundleError
        As of `FittedBundle.load`.
    """
    return LinearBundle.load(name_or_path)


@dataclass(frozen=True, eq=False)
class FittedLinear:
    """A linear core, and what it was fitted to."""

    model: LinearModel
    people: Sequence[str]  # labels
    regions: Sequence[str]  # names
    frames: int  # of each series
    tr_seconds: float  # time between frames
    of_other_sites: int = 0  # people whose sums were added
    connections: Connections | None = None  # of people with structural connectomes; None: of none
    retest: Retest = field(default_factory=Retest)  # what their other session shows
    components: Components | None = None  # in which they differ; None: in none


def write_linear_bundle(
    folder: str | Path, fitted: FittedLinear, facts: CoreFacts, people: ModelPeople | None = None
) -> LinearBundle:
    """Write the bundle of a linear core, and load it back from where it was written.

    Parameters
    ----------
    folder
        Where the bundle goes. If the same bundle is there already, nothing is done.
    fitted
        The model, and what it was fitted to.
    facts
        Further facts for the card.
    people
        Hashes of everybody used to make the model, by name and rest; None: by name alone.

    Raises
    ------
    BundleError
        If something else is at `folder`, or a name of a region cannot be listed.
    OutputError
        If the folder cannot be written.
    """
    model, strengths = fitted.model, fitted.model.strengths
    retest, components = fitted.retest, fitted.components
    part = LinearPart(
        regions=len(fitted.regions),
        people=len(fitted.people),
        frames=fitted.frames,
        tr_seconds=fitted.tr_seconds,
        chosen_by=strengths.chosen_by,
        connectomes=0 if fitted.connections is None else fitted.connections.people,
        transition_spread=retest.spreads.transition,
        covariance_spread=retest.spreads.covariance,
        spreads_judged=retest.spreads.judged,
        minutes=retest.minutes,
        regional_icc=retest.regional,
        components=0 if components is None else len(components.loadings),
        component_icc=() if components is None else components.reliability,
        **facts.fields_of(model),
    )
    record = {
        "grid": list(GRID),
        "densities": list(strengths.densities),
        "frame_densities": list(strengths.frame_densities),
        "fits": list(strengths.fits),
        "participants_of_other_sites": fitted.of_other_sites,
    }
    card = facts.card(LINEAR_DYNAMICS.name, part, record, part.tr_seconds)
    files = facts.files(fitted.people, fitted.regions, people)
    weights = {GROUP: model.group.astype(np.float32)}
    if fitted.connections is not None:
        weights[_SHARE] = fitted.connections.share.astype(np.float32)
        weights[_HOMOTOPIC] = fitted.connections.homotopic.astype(np.float32)
    if components is not None:
        weights |= {
            _LOADINGS: components.loadings.astype(np.float32),
            _MEAN: components.mean.astype(np.float32),
            _SD: components.sd.astype(np.float32),
        }
    return write_fitted(folder, card, weights, files, load_linear_bundle)
