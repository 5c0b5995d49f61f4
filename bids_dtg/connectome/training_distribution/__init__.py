"""Checks of a run that need no statistics of other people: whether a model is for it.

- `limits`: the table of limits on figures of a run
- `pattern`: figures of a connectome that a wrong grid, side, space or cleaning changes
- `sides`: whether a mirrored run would fit better
- `judge`: the verdict on a run, with its reasons
"""
