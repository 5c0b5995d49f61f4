"""Whether the model is for this run: in range, unusual or outside, and why.

- `limits`: the table of limits on figures of a run
- `pattern`: figures of a connectome that a wrong grid, side, space or cleaning changes
- `sides`: whether a mirrored run would fit better
- `sketch`: what is kept of a connectome to compare it with other people's
- `usual`: what is usual of the figures, on however much rest a connectome lies
- `training`: how far a connectome lies from those that the model was trained on
- `judge`: the verdict on a run, with its reasons
"""
