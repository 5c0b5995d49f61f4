"""The digital twin: networks generated from a connectome that perform a person's tasks.

A `Task` is data, and `Trials` are a person's stimuli and responses in it (Takahashi et al., 2026,
doi:10.34133/bmef.0231).

Tasks and responses:

- `array_types`: types of arrays
- `tasks`: a task as data: what is shown, which button is correct, how responses are coded
- `task_fields`: values of a task file, checked
- `trials`: what one person did in one run of a task
- `trial_series`: inputs and targets of people on the networks' time step

The networks, and how they are fitted:

- `network`: recurrent networks that perform tasks, and modules that generate their weights
- `decoding`: each trial's response time, button and probability of a miss from network outputs
- `times`: mean response times and condition effects, observed or predicted from connectomes
- `bold_runs`: BOLD of people's runs of tasks, and the haemodynamic response
- `bold`: BOLD of regions, by ridges on connectomes, or as outputs of published networks
- `recipe`: architectures, sizes of networks and training settings
- `training`: batches, loss and record of a training (extra ``train``)
- `fitting`: fits twins: resumable, one fit for all people (extra ``train``)
- `adjustment`: removes linear effects of covariates from connectomes
- `interventions`: predicted behaviour after connectomes move along gradients
- `judging`: how well twins predict people's responses, compared with baselines

The slice around this science, from top to bottom:

- `row`: the row by which the rest of the program knows the slice
- `demo`: the analyses on simulated people, whose true behaviour is known
- `analyses`: the analyses of `group --analysis`
- `participant`: the participant level, and readers of people
- `panels`: panels and sentences of pages
- `phantom`: simulated people with a known truth
- `bundle`: writer and reader of such a model's bundle
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_dtg.first_use import at_first_use

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted, fit
    from bids_dtg.twin.recipe import Recipe
    from bids_dtg.twin.tasks import Task, find_task
    from bids_dtg.twin.trial_series import Segments, stack_people
    from bids_dtg.twin.trials import Trials, read_trials

__all__ = [
    "Fitted",
    "Recipe",
    "Segments",
    "Task",
    "Trials",
    "find_task",
    "fit",
    "read_trials",
    "stack_people",
]

# The command line reads task files, and must not import torch for that.
__getattr__ = at_first_use(
    __name__,
    {
        "Fitted": "fitting",
        "Recipe": "recipe",
        "Segments": "trial_series",
        "Task": "tasks",
        "Trials": "trials",
        "find_task": "tasks",
        "fit": "fitting",
        "read_trials": "trials",
        "stack_people": "trial_series",
    },
)
