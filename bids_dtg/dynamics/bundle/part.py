"""The fields of the card that network models add to those of every model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, get_args

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.fitted import FittedPart, Shapes
from bids_dtg.dynamics.calibration import FIGURES, Calibration
from bids_dtg.dynamics.networks import STRUCTURAL
from bids_dtg.dynamics.recipe import (
    FEATURE_UNITS,
    KERNEL,
    Innovation,
    Recipe,
    feature_count,
)
from bids_dtg.notices import counted

AMORTISED = "amortised"  # the recipe of models of anybody
_BEFORE = "default"  # what it was called in cards of before


@dataclass(frozen=True)
class NetworkPart(FittedPart):
    """The part of the card of network models."""

    ORDER: ClassVar[tuple[str, ...]] = (
        *("format_version", "name", "version", "kind", "licence", "citation", "description"),
        *("training", "recipe_name", "recipe", "regions", "people", "frames", "tr_seconds"),
        *("structural", "calibrations", "data_set", "session", "atlas", "atlas_digest"),
        *("for_science", "notice", "files"),
    )

    recipe: Recipe  # architecture and training of the model, with every doubtful point
    recipe_name: str = field(default=AMORTISED, kw_only=True)  # what --recipe named
    regions: int  # number of regions of each person
    frames: int  # of each series
    tr_seconds: float  # time between frames
    structural: str = "linear"  # how structural connectomes were scaled: a row of `STRUCTURAL`
    session: str = ""  # session of the series; empty: not stated
    # Of each parameter of a region, the fields of its `Calibration`; empty: not judged.
    calibrations: tuple[tuple[float, ...], ...] = ()

    @property
    def judged(self) -> tuple[Calibration, ...]:
        """What simulations showed of each parameter's posteriors; empty: nothing."""
        return Calibration.of_card(self.calibrations)

    @property
    def by_name(self) -> dict[str, Calibration]:
        """The same, by the parameters' names."""
        return {f"theta{number}": own for number, own in enumerate(self.judged, 1)}

    @property
    def faults(self) -> dict[str, str]:
        """Why parameters cannot be trusted, by their names; those that can are not in it."""
        return {name: own.fault for name, own in self.by_name.items() if own.fault}

    @property
    def outputs(self) -> str:
        """What the model describes: numbers of regions and participants."""
        return f"{counted(self.regions, 'region')} of {counted(self.people, 'participant')}"

    @property
    def shapes(self) -> Shapes:
        """Shapes of the model's tensors by name, see `bids_dtg.dynamics.model`.

        They are computed without torch, so that a file is refused before a model is made.

        Examples
        --------
        >>> part = NetworkPart(Recipe(), regions=4, people=2, frames=30, tr_seconds=0.72)
        >>> part.shapes["external_table"], part.shapes["state_encoder.lstm.weight_ih_l0"]
        ((2, 30, 2), (128, 4))
        """
        recipe = self.recipe
        states, hidden = recipe.states, recipe.hidden
        inputs = states + recipe.region_parameters + recipe.person_parameters + 1
        inputs += recipe.external_inputs
        shapes: dict[str, tuple[int, ...]] = {
            "transition.hidden.weight": (hidden, inputs),
            "transition.hidden.bias": (hidden,),
            "transition.out.weight": (states, hidden),
            "transition.out.bias": (states,),
            "observation.weight": (1, states),
            "observation.bias": (1,),
            "state_log_variance": (states,),
            "observation_log_variance": (1,),
            **(self._of_anybody() if recipe.amortised else self._of_people()),
        }
        if recipe.coupling_gain:
            shapes["log_gain"] = ()
        return shapes

    def _of_people(self) -> Shapes:
        """Return the shapes of encoders and tables of people."""
        recipe = self.recipe
        shapes = {
            **self._of_encoder("state_encoder", recipe.states),
            **self._of_encoder("region_encoder", recipe.region_parameters),
            "person_table": (self.people, recipe.person_parameters, 2),
        }
        if recipe.external_inputs:
            shapes |= {"log_tau": (), "external_table": (self.people, self.frames, 2)}
        return shapes

    def _of_anybody(self) -> Shapes:
        """Return the shapes of amortised encoders."""
        recipe, units = self.recipe, FEATURE_UNITS
        region, person = recipe.region_parameters, recipe.person_parameters
        external = recipe.external_inputs
        features = feature_count(recipe.pooled)
        shapes = {
            "pooling": (recipe.pooled, self.regions),
            "features.weight": (units, features),
            "features.bias": (units,),
            "region_encoder.weight": (2 * region, units),
            "region_encoder.bias": (2 * region,),
            "person_encoder.weight": (2 * person, units),
            "person_encoder.bias": (2 * person,),
            **self._of_convolutions("state_encoder", 2 + recipe.pooled + region, 3 * recipe.states),
            **self._of_convolutions("external_encoder", recipe.pooled, 3 * external),
        }
        return {**shapes, **({"log_tau": (external,)} if external else {})}

    def _of_convolutions(self, name: str, inputs: int, outputs: int) -> Shapes:
        units = self.recipe.encoder_units
        layers: Shapes = {
            "near": (units, inputs, KERNEL),
            "far": (units, units, KERNEL),
            "out": (outputs, units),
        }
        return {
            f"{name}.{layer}.{kind}": shape if kind == "weight" else shape[:1]
            for layer, shape in layers.items()
            for kind in ("weight", "bias")
        }

    def _of_encoder(self, name: str, dimensions: int) -> Shapes:
        units, inputs = self.recipe.encoder_units, 2 + self.people
        gates = 4 * units
        lstm = {"weight_ih": (gates, inputs), "weight_hh": (gates, units)}
        biases = {"bias_ih": (gates,), "bias_hh": (gates,)}
        return {
            **{
                f"{name}.lstm.{kind}_l0{way}": shape
                for way in ("", "_reverse")
                for kind, shape in (lstm | biases).items()
            },
            f"{name}.out.weight": (2 * dimensions, 2 * units),
            f"{name}.out.bias": (2 * dimensions,),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the part's fields of `model.json`."""
        # Programs of the first format versions do not know such models.
        return {"format_version": 3, **asdict(self)}

    @classmethod
    def read(cls, fields: JsonFields, files: Mapping[str, str]) -> NetworkPart:
        """Read the part's fields of a card.

        Raises
        ------
        BundleError
            If a field is missing, unknown or wrong, or says something else than the card's
            `training`.
        """
        recipe = _recipe(fields.nested("recipe"))
        # Published forms are not judged, and older models were not.
        judged = not (fields.absent("calibrations") or fields.value("calibrations") == [])
        shape = (recipe.region_parameters, FIGURES)
        part = cls(
            recipe=recipe,
            calibrations=tuple(tuple(row) for row in fields.numbers("calibrations", shape))
            if judged
            else (),
            regions=fields.size("regions"),
            frames=fields.size("frames"),
            tr_seconds=fields.positive("tr_seconds"),
            structural=fields.one_of("structural", STRUCTURAL),
            session=fields.text("session"),
            **cls.read_shared(fields),
        )
        if part.recipe_name == _BEFORE:
            part = replace(part, recipe_name=AMORTISED)
        facts = {"repetition_time_s": part.tr_seconds, "participants": part.people}
        cls.require_same(fields, facts)
        return part


def _innovation(fields: JsonFields, key: str) -> str:
    return fields.one_of(key, get_args(Innovation))


def _or_none(read: Callable[[JsonFields, str], Any]) -> Callable[[JsonFields, str], Any]:
    return lambda fields, key: None if fields.value(key) is None else read(fields, key)


# How each field of a recipe is read and checked.
_RECIPE: Mapping[str, Callable[[JsonFields, str], Any]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("states", "region_parameters", "hidden", "encoder_units"), JsonFields.size
        ),
        **dict.fromkeys(
            (
                *("amortised", "structured", "sampled_coupling", "coupling_gain"),
                *("ramp_states", "closed_form"),
            ),
            JsonFields.flag,
        ),
        **dict.fromkeys(
            ("pooled", "window", "forecast_frames", "generation_frames"), JsonFields.size
        ),
        **dict.fromkeys(
            ("forecast_weight", "generation_weight", "ramp_share", "late_share"),
            JsonFields.not_negative,
        ),
        **dict.fromkeys(("samples", "epochs", "batch_size", "restarts"), JsonFields.size),
        **dict.fromkeys(("learning_rate", "gradient_limit"), JsonFields.positive),
        **dict.fromkeys(
            ("person_penalty", "external_start_sd", "state_penalty", "transition_penalty"),
            JsonFields.not_negative,
        ),
        "external_inputs": JsonFields.count,
        "person_parameters": JsonFields.count,
        "first_state_log_variance": JsonFields.number,
        "innovation": _innovation,
        "ramp_epochs": _or_none(JsonFields.count),
        "late_learning_rate": _or_none(JsonFields.positive),
        "state_limit": _or_none(JsonFields.positive),
        "held_out": JsonFields.share,
    }
)


def _recipe(fields: JsonFields) -> Recipe:
    values = {name: read(fields, name) for name, read in _RECIPE.items()}
    fields.refuse_unknown()
    try:
        return Recipe(**values)
    except ValueError as err:
        raise fields.wrong("amortised", values["amortised"], str(err)) from err
