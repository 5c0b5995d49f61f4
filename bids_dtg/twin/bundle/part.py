"""The fields of a model card that digital twins have and other models do not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import comb
from typing import TYPE_CHECKING, Any

from bids_dtg.bundles.card import JsonFields
from bids_dtg.bundles.fitted import FittedPart, Shapes
from bids_dtg.bundles.kinds import Kind
from bids_dtg.errors import BundleError, SettingsError
from bids_dtg.notices import counted
from bids_dtg.twin.recipe import ARCHITECTURES, Recipe, find_architecture
from bids_dtg.twin.tasks import Task, make_task
from bids_dtg.workflows import constant

if TYPE_CHECKING:
    from bids_dtg.twin.trial_series import TaskSet

_MOST_TASKS = 100  # task numbers are stored in eight bits


@dataclass(frozen=True)
class TwinPart(FittedPart):
    """The fields of a card that digital twins have."""

    architecture: str  # a row of `bids_dtg.twin.recipe.ARCHITECTURES`
    recipe: Recipe  # how large networks are, and how they were trained
    tasks: tuple[Task, ...]  # tasks of the twin; their order decides inputs and outputs
    edges: int  # of a connectome
    regions: int = 0  # whose pairs are the edges of a connectome; 0: edges are no pairs
    connectome: str = "unknown"  # how it was made, in words
    # Columns removed from connectomes, one for each level of a category.
    covariates: int = 0
    seed: int = 0
    bold_regions: int = 0  # of task BOLD; 0: none
    bold_open: int = 0  # regions whose responses are predicted from connectomes
    bold_tr_seconds: float = 0.0  # of the training people's BOLD

    @property
    def outputs(self) -> str:
        """Number of tasks whose responses the model predicts, in words."""
        return counted(self.tasks, "task")

    @property
    def task_set(self) -> TaskSet:
        """The tasks as a network performs them."""
        # It imports SciPy, which cards do not need.
        from bids_dtg.twin.trial_series import TaskSet

        return TaskSet(self.tasks)

    @property
    def shapes(self) -> Shapes:
        """Shapes of the twin's tensors by name, as `bids_dtg.twin.network` names them.

        They are known without a model, so that a wrong file is refused before one is made.

        Examples
        --------
        >>> from bids_dtg.twin.tasks import find_task
        >>> part = TwinPart("lowrank", Recipe(), (find_task("stroop"),), 4950, people=200)
        >>> part.shapes["network.input"], part.shapes["edge_weights"]
        ((64, 8), (4950, 4))
        """
        if find_architecture(self.architecture).generates_all:
            return self._hypernetwork_shapes()
        return self._group_network_shapes()

    def _hypernetwork_shapes(self) -> Shapes:
        edges = self.edges
        hidden, units = self.recipe.hyper_units, self.recipe.units
        inputs, outputs = self.task_set.inputs, self.task_set.buttons
        with_group = self.recipe.group_epochs > 0
        if not with_group:  # networks output BOLD
            outputs += self.bold_regions
        weights = units * (inputs + units + 2) + outputs * (units + 1)
        group: Shapes = {"group_weights": (weights,)} if with_group else {}
        return {
            **group,
            "first.weight": (hidden, edges),
            "first.bias": (hidden,),
            "middle.weight": (hidden, hidden),
            "middle.bias": (hidden,),
            "last.weight": (weights, hidden),
            "last.bias": (weights,),
            "edge_mean": (edges,),
            "edge_sd": (edges,),
        }

    def _group_network_shapes(self) -> Shapes:
        units, rank = self.recipe.units, min(self.recipe.rank, self.recipe.units)
        # Mean time, accuracy and SD of times, and the effect of conditions.
        measures = sum(3 + (len(task.conditions) > 1) for task in self.tasks)
        inputs, outputs = self.task_set.inputs, self.task_set.buttons
        return {
            "network.input": (units, inputs),
            "network.recurrent": (units, units),
            "network.bias": (units,),
            "network.output": (outputs, units),
            "network.output_bias": (outputs,),
            "network.left": (units, rank),
            "network.right": (units, rank),
            # Gain and bias per unit, change per mode, gain per input, gain and offset per output.
            "of_measures": (2 * units + rank + inputs + 2 * outputs, measures),
            "edge_mean": (self.edges,),
            "edge_weights": (self.edges, measures),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the part's fields of `model.json`."""
        tasks = [dict(task.content) for task in self.tasks]
        return {**vars(self), "recipe": asdict(self.recipe), "tasks": tasks}

    @classmethod
    def read(cls, fields: JsonFields) -> TwinPart:
        """Read the part's fields of a card.

        Raises
        ------
        BundleError
            If a field is missing, unknown or wrong, or contradicts another one.
        """
        scalars = fields.scalars(cls)
        fields.one_of("architecture", ARCHITECTURES)
        recipe = fields.nested("recipe").record(Recipe)
        part = cls(recipe=recipe, tasks=_read_tasks(fields), **scalars)
        pairs = comb(part.regions, 2)
        if part.regions and part.edges != pairs:
            expected = f"{pairs}, the pairs of {counted(part.regions, 'region')}"
            raise fields.wrong("edges", part.edges, expected)
        return part


def _read_tasks(fields: JsonFields) -> tuple[Task, ...]:
    """Read the field `tasks` of a card.

    Raises
    ------
    BundleError
        It is missing or wrong.
    """
    listed = fields.list_of_nested("tasks")
    names = [inner.value("name") for inner in listed]
    differ = all(names.count(name) == 1 for name in names)
    if not differ or not 1 <= len(listed) <= _MOST_TASKS:
        expected = f"1 to {_MOST_TASKS} tasks of different names"
        raise fields.wrong("tasks", names, expected)
    try:
        return tuple(
            make_task(inner.items(), f"{fields.source}: tasks[{number}]")
            for number, inner in enumerate(listed)
        )
    except SettingsError as err:
        raise BundleError(err.found, expected=err.expected) from err


DIGITAL_TWIN = Kind(
    name="digital-twin",
    workflow="twin",
    predicts="what people do in tasks",
    bundle=constant("twin.bundle.bundle:TwinBundle"),
)


KINDS = (DIGITAL_TWIN,)
