"""Synthetic task-activation maps from resting-state fMRI, as a BIDS-App.

The public names, in the order of a run's way from its file to its maps:

- `TaskMaps`: the whole way in one estimator, as scikit-learn and nilearn have them
- `Settings`: all options of a call, checked; `Settings.of` takes them by their names
- `find_runs`: the resting-state runs that a call with these options reads
- `load_bundle`: a model, by its name or its folder
- `measure`: cleans a run and reduces it to its connectome, in one pass over the file
- `measure_array`: does the same for an image in memory, as an array
- `predict_maps`: the contrast maps that a model predicts from a connectome
- `run_workflow`: all of this for all participants, with files, tables and reports
- `load_maps`: what an output folder holds, as a data frame
- ``__version__``: the version of the program

The rooms, from top to bottom. A room imports only rooms below it:

- `cli`: the commands: arguments to settings, settings to work
- `contrasts`: from connectomes to contrast maps: models, steps, analyses and pages of the workflow
- `dynamics`: the network model: regions' parameters, simulated activity, fixed points
- `twin`: the digital twin: networks from connectomes that perform a person's tasks
- `statistics`: analyses over people that read any model's output or measured maps
- `cohort`: the people of an analysis, and the folder of its results
- `participants`: the participant level that all workflows share
- `phantom`: what simulators of people share
- `report`: pages, panels, charts and the methods text
- `bundles`: models as folders: verified, written, installed
- `workflows`: the table of workflows: one row per slice
- `training`: the training loop that all networks share
- `stats`: splits, scores, intervals and tests over people
- `cleaning`: what is removed from a run: strategies, confounds, the temporal design
- `connectome`: from a run's frames to its connectome: sums of one pass, and their algebra
- `imaging`: images: NIfTI in blocks of frames, grids, sampling, transforms
- `inputs`: datasets: their participants, runs, spaces and measured maps
- `engine`: processes that work side by side; knows nothing of brains
- `files`: names and files of BIDS derivatives: whole files, or none
- `settings`: the options of every workflow; slices have their own in their modules `options`
- `option`: a field that is also a command-line option and a TOML key
- `errors`: errors for people: what was found, what was expected, what to do
- `extras`: packages that only some work needs, and how to install them
- `progress`: what a person sees while the program works: bars, or lines
- `first_use`: public names of packages, imported at their first use
- `notices`: lines for people: every character is seen, and no password of an address
- `version`: the version of the program
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_dtg.first_use import at_first_use

if TYPE_CHECKING:
    from bids_dtg.cli.run import run_workflow
    from bids_dtg.cohort.frames import load_maps
    from bids_dtg.contrasts.bundle.bundle import load_bundle
    from bids_dtg.contrasts.fit_linear import fit_linear
    from bids_dtg.contrasts.participant.measure import measure, measure_array
    from bids_dtg.contrasts.participant.model import predict_maps
    from bids_dtg.contrasts.participant.request import find_runs
    from bids_dtg.contrasts.participant.task_maps import TaskMaps
    from bids_dtg.settings import Settings
    from bids_dtg.version import __version__

__all__ = [
    "Settings",
    "TaskMaps",
    "__version__",
    "find_runs",
    "fit_linear",
    "load_bundle",
    "load_maps",
    "measure",
    "measure_array",
    "predict_maps",
    "run_workflow",
]

# `import bids_dtg` must not cost the import of NumPy, nibabel, pandas or torch.
__getattr__ = at_first_use(
    __name__,
    {
        "Settings": "settings",
        "TaskMaps": "contrasts.participant.task_maps",
        "__version__": "version",
        "find_runs": "contrasts.participant.request",
        "fit_linear": "contrasts.fit_linear",
        "load_bundle": "contrasts.bundle.bundle",
        "load_maps": "cohort.frames",
        "measure_array": "contrasts.participant.measure",
        "measure": "contrasts.participant.measure",
        "predict_maps": "contrasts.participant.model",
        "run_workflow": "cli.run",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
