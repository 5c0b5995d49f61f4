"""The table of attacks: what each does, and what the call must come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from attacks.judge import Wanted
from attacks.scene import Scene

Attack = Callable[[Scene], None]


@dataclass(frozen=True)
class Case:
    """An attack, and what the call must come to."""

    attack: Attack  # changes the scene
    wanted: Wanted
    fixture: str = "pair"  # what is attacked, as `attacks.fixtures.BUILDERS` names it


CASES: dict[str, Case] = {}


def add(name: str, attack: Attack, codes: Sequence[int] | int = (0, 1), **facts: object) -> None:
    """Add an attack to the table; `facts` as of `Wanted` and `Case`."""
    assert name not in CASES, name
    own = {key: facts.pop(key) for key in ("fixture",) if key in facts}
    codes = (codes,) if isinstance(codes, int) else tuple(codes)
    CASES[name] = Case(attack, Wanted(codes, **facts), **own)


def case(codes: Sequence[int] | int = (0, 1), **facts: object) -> Callable[[Attack], Attack]:
    """Add a function to the table, under its name."""

    def added(attack: Attack) -> Attack:
        add(attack.__name__.strip("_"), attack, codes, **facts)
        return attack

    return added


def rows(
    kind: str,
    attack: Callable[[Scene, object], None],
    table: Mapping[str, object],
    codes: Sequence[int] | int = (0, 1),
    **facts: object,
) -> None:
    """Add an attack once for each value of a table."""
    for name, value in table.items():
        add(f"{kind}-{name}", partial(_with, attack, value), codes, **facts)


def _with(attack: Callable[[Scene, object], None], value: object, scene: Scene) -> None:
    attack(scene, value)
