"""Options that only digital twins read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bids_dtg.option import MODELS, option


@dataclass(frozen=True)
class TwinOptions:
    """The tasks that twins perform."""

    GROUP: ClassVar = "twin"
    SHAPES: ClassVar = (MODELS,)

    task_file: tuple[str, ...] = option(
        (),
        "tasks to perform: TOML files that describe the columns of event files, or names of "
        "built-in tasks (faces, stroop); a trained model knows its tasks",
        metavar="TOML|NAME",
        shown="built-in tasks with event files in BIDS_DIR",
    )
