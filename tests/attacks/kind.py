"""A kind of input that is made by chance, and the doors that most kinds are read through."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass

from attacks.scene import Scene

Make = Callable[[random.Random, Scene], None]
Door = Callable[[Scene], int]


@dataclass(frozen=True)
class Kind:
    """A kind of input."""

    make: Make  # changes a scene
    door: Door  # what reads it in this process; returns an exit code
    weight: int = 10  # how often, against the others
    fixture: str = "pair"
    whole: float = 0.06  # share that is read by a whole call


# Doors: all are public ways to what reads the file.


def program(scene: Scene) -> int:
    """Call the program in this process."""
    from bids_dtg.cli import models, run

    words = scene.words()
    sys.argv = [scene.program, *words]
    return (models if scene.program == "dtg-models" else run).main(words)


def plan(scene: Scene) -> int:
    """Have the program print its plan: it has read everything but images by then."""
    scene.arguments = [*scene.words(), "--dry-run"]
    return program(scene)
