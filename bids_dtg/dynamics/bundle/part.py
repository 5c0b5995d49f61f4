"""The fields of the card that network models add to those of every model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.fitted import FittedPart, Shapes
from bids_dtg.dynamics.recipe import DEFAULT, Recipe
from bids_dtg.notices import counted


@dataclass(frozen=True)
class NetworkPart(FittedPart):
    """The part of the card of network models."""

    ORDER: ClassVar[tuple[str, ...]] = (
        *("format_version", "name", "version", "kind", "licence", "citation", "description"),
        *("training", "recipe_name", "recipe", "regions", "people", "frames", "tr_seconds"),
        *("data_set", "session", "atlas", "atlas_digest"),
        *("for_science", "notice", "files"),
    )

    recipe: Recipe  # architecture and training of the model, with every doubtful point
    recipe_name: str = field(default=DEFAULT, kw_only=True)  # what --recipe named
    regions: int  # number of regions of each person
    frames: int  # of each series
    tr_seconds: float  # time between frames
    session: str = ""  # session of the series; empty: not stated

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
            **self._of_encoder("state_encoder", recipe.states),
            **self._of_encoder("region_encoder", recipe.region_parameters),
            "person_table": (self.people, recipe.person_parameters, 2),
        }
        if recipe.external_inputs:
            shapes |= {"log_tau": (), "external_table": (self.people, self.frames, 2)}
        return shapes

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
        return asdict(self)

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
        part = cls(
            recipe=recipe,
            regions=fields.size("regions"),
            frames=fields.size("frames"),
            tr_seconds=fields.positive("tr_seconds"),
            session=fields.text("session"),
            **cls.read_shared(fields),
        )
        facts = {"repetition_time_s": part.tr_seconds, "participants": part.people}
        cls.require_same(fields, facts)
        return part


def _or_none(read: Callable[[JsonFields, str], Any]) -> Callable[[JsonFields, str], Any]:
    return lambda fields, key: None if fields.value(key) is None else read(fields, key)


# How each field of a recipe is read and checked.
_RECIPE: Mapping[str, Callable[[JsonFields, str], Any]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("states", "region_parameters", "hidden", "encoder_units"), JsonFields.size
        ),
        **dict.fromkeys(("ramp_states", "closed_form"), JsonFields.flag),
        **dict.fromkeys(("samples", "epochs", "batch_size", "restarts"), JsonFields.size),
        **dict.fromkeys(("learning_rate", "gradient_limit"), JsonFields.positive),
        **dict.fromkeys(
            ("person_penalty", "state_penalty", "transition_penalty", "ramp_share"),
            JsonFields.not_negative,
        ),
        "external_inputs": JsonFields.count,
        "person_parameters": JsonFields.count,
        "first_state_log_variance": JsonFields.number,
        "ramp_epochs": _or_none(JsonFields.count),
        "late_learning_rate": _or_none(JsonFields.positive),
        "held_out": JsonFields.share,
    }
)


def _recipe(fields: JsonFields) -> Recipe:
    values = {name: read(fields, name) for name, read in _RECIPE.items()}
    fields.refuse_unknown()
    try:
        return Recipe(**values)
    except ValueError as err:
        raise fields.wrong("external_inputs", values["external_inputs"], str(err)) from err
