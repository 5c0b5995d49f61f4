"""What a call is whose outputs are compared, and the words that many calls share."""

from __future__ import annotations

from dataclasses import dataclass

ONE_CORE = "--device cpu --nprocs 1 --omp-nthreads 1"


@dataclass(frozen=True)
class Call:
    """What makes one folder of a state, and one row of the table of differences."""

    name: str  # of its folder
    # Command lines: a program of the project, the script `api`, or `copy`, `untime`.
    steps: tuple[str, ...]
    needs: tuple[str, ...] = ()  # calls that must have been made before
    exit_code: int = 0  # of each step
