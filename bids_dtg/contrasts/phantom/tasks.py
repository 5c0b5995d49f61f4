"""The HCP tasks: 24 conditions, 47 contrasts and the design matrix between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONDITIONS: Mapping[str, tuple[str, ...]] = {
    "LANGUAGE": ("MATH", "STORY"),
    "RELATIONAL": ("MATCH", "REL"),
    "SOCIAL": ("RANDOM", "TOM"),
    "EMOTION": ("FACES", "SHAPES"),
    "WM": (
        *("2BK_BODY", "2BK_FACE", "2BK_PLACE", "2BK_TOOL"),
        *("0BK_BODY", "0BK_FACE", "0BK_PLACE", "0BK_TOOL"),
    ),
    "MOTOR": ("CUE", "LF", "LH", "RF", "RH", "T"),
    "GAMBLING": ("PUNISH", "REWARD"),
}
"""The conditions of each task."""

_2BK = "2BK_BODY 2BK_FACE 2BK_PLACE 2BK_TOOL"
_0BK = "0BK_BODY 0BK_FACE 0BK_PLACE 0BK_TOOL"
_BODY, _FACE = "2BK_BODY 0BK_BODY", "2BK_FACE 0BK_FACE"
_PLACE, _TOOL = "2BK_PLACE 0BK_PLACE", "2BK_TOOL 0BK_TOOL"


@dataclass(frozen=True)
class TaskContrast:
    """The mean of some conditions of a task, against the mean of others or baseline."""

    task: str  # e.g. "WM"
    name: str  # HCP's name within the task, e.g. "2BK-0BK"
    label: str  # value of the BIDS entity contrast-
    plus: str  # conditions, with spaces between
    minus: str = ""  # conditions; empty: against baseline


CONTRASTS: tuple[TaskContrast, ...] = (
    TaskContrast("LANGUAGE", "MATH", "languageMath", "MATH"),
    TaskContrast("LANGUAGE", "STORY", "languageStory", "STORY"),
    TaskContrast("LANGUAGE", "MATH-STORY", "languageMathVsStory", "MATH", "STORY"),
    TaskContrast("RELATIONAL", "MATCH", "relationalMatch", "MATCH"),
    TaskContrast("RELATIONAL", "REL", "relationalRelation", "REL"),
    TaskContrast("RELATIONAL", "MATCH-REL", "relationalMatchVsRelation", "MATCH", "REL"),
    TaskContrast("SOCIAL", "RANDOM", "socialRandom", "RANDOM"),
    TaskContrast("SOCIAL", "TOM", "socialTom", "TOM"),
    TaskContrast("SOCIAL", "TOM-RANDOM", "socialTomVsRandom", "TOM", "RANDOM"),
    TaskContrast("EMOTION", "FACES", "emotionFaces", "FACES"),
    TaskContrast("EMOTION", "SHAPES", "emotionShapes", "SHAPES"),
    TaskContrast("EMOTION", "FACES-SHAPES", "emotionFacesVsShapes", "FACES", "SHAPES"),
    TaskContrast("WM", "2BK_BODY", "wm2bkBody", "2BK_BODY"),
    TaskContrast("WM", "2BK_FACE", "wm2bkFace", "2BK_FACE"),
    TaskContrast("WM", "2BK_PLACE", "wm2bkPlace", "2BK_PLACE"),
    TaskContrast("WM", "2BK_TOOL", "wm2bkTool", "2BK_TOOL"),
    TaskContrast("WM", "0BK_BODY", "wm0bkBody", "0BK_BODY"),
    TaskContrast("WM", "0BK_FACE", "wm0bkFace", "0BK_FACE"),
    TaskContrast("WM", "0BK_PLACE", "wm0bkPlace", "0BK_PLACE"),
    TaskContrast("WM", "0BK_TOOL", "wm0bkTool", "0BK_TOOL"),
    TaskContrast("WM", "2BK", "wm2bk", _2BK),
    TaskContrast("WM", "0BK", "wm0bk", _0BK),
    TaskContrast("WM", "2BK-0BK", "wm2bkVs0bk", _2BK, _0BK),
    TaskContrast("WM", "BODY", "wmBody", _BODY),
    TaskContrast("WM", "FACE", "wmFace", _FACE),
    TaskContrast("WM", "PLACE", "wmPlace", _PLACE),
    TaskContrast("WM", "TOOL", "wmTool", _TOOL),
    TaskContrast("WM", "BODY-AVG", "wmBodyVsAvg", _BODY, f"{_FACE} {_PLACE} {_TOOL}"),
    TaskContrast("WM", "FACE-AVG", "wmFaceVsAvg", _FACE, f"{_BODY} {_PLACE} {_TOOL}"),
    TaskContrast("WM", "PLACE-AVG", "wmPlaceVsAvg", _PLACE, f"{_BODY} {_FACE} {_TOOL}"),
    TaskContrast("WM", "TOOL-AVG", "wmToolVsAvg", _TOOL, f"{_BODY} {_FACE} {_PLACE}"),
    TaskContrast("MOTOR", "CUE", "motorCue", "CUE"),
    TaskContrast("MOTOR", "LF", "motorLf", "LF"),
    TaskContrast("MOTOR", "LH", "motorLh", "LH"),
    TaskContrast("MOTOR", "RF", "motorRf", "RF"),
    TaskContrast("MOTOR", "RH", "motorRh", "RH"),
    TaskContrast("MOTOR", "T", "motorT", "T"),
    TaskContrast("MOTOR", "AVG", "motorAvg", "LF LH RF RH T"),
    TaskContrast("MOTOR", "CUE-AVG", "motorCueVsAvg", "CUE", "LF LH RF RH T"),
    TaskContrast("MOTOR", "LF-AVG", "motorLfVsAvg", "LF", "LH RF RH T"),
    TaskContrast("MOTOR", "LH-AVG", "motorLhVsAvg", "LH", "LF RF RH T"),
    TaskContrast("MOTOR", "RF-AVG", "motorRfVsAvg", "RF", "LF LH RH T"),
    TaskContrast("MOTOR", "RH-AVG", "motorRhVsAvg", "RH", "LF LH RF T"),
    TaskContrast("MOTOR", "T-AVG", "motorTVsAvg", "T", "LF LH RF RH"),
    TaskContrast("GAMBLING", "PUNISH", "gamblingPunish", "PUNISH"),
    TaskContrast("GAMBLING", "REWARD", "gamblingReward", "REWARD"),
    TaskContrast("GAMBLING", "PUNISH-REWARD", "gamblingPunishVsReward", "PUNISH", "REWARD"),
)
"""The contrasts, in the order of the published model's outputs."""


def condition_list() -> tuple[tuple[str, str], ...]:
    """Return (task, condition) of all conditions, in the order of the design's columns.

    Examples
    --------
    >>> len(condition_list())
    24
    """
    return tuple((task, name) for task, names in CONDITIONS.items() for name in names)


def contrast_design() -> NDArray[np.float64]:
    """Return the design (contrasts, conditions), each row of length 1.

    A row weights the conditions of its task by 1/n on either side. Rows of length 1 keep
    independent noise of variance 1 at variance 1: all maps are z statistics.

    Examples
    --------
    >>> import numpy as np
    >>> design = contrast_design()
    >>> design.shape, int(np.linalg.matrix_rank(design))
    ((47, 24), 24)
    """
    column = {key: c for c, key in enumerate(condition_list())}
    design = np.zeros((len(CONTRASTS), len(column)))
    for row, contrast in zip(design, CONTRASTS, strict=True):
        for names, sign in ((contrast.plus.split(), 1.0), (contrast.minus.split(), -1.0)):
            for name in names:
                row[column[contrast.task, name]] = sign / len(names)
    unit: NDArray[np.float64] = design / np.linalg.norm(design, axis=1, keepdims=True)
    return unit
