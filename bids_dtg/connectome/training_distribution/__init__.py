"""Out-of-distribution check: whether a run is inside the training distribution.

- `limits`: the table of limits on figures of a run
- `pattern`: figures of a connectome that a wrong grid, side, space or cleaning changes
- `sides`: whether a mirrored run would fit better
- `summary`: low-resolution summary of a connectome, to compare it with other people's
- `figure_statistics`: mean and covariance of the figures, by the amount of rest
- `distribution`: how far a connectome lies from those that the model was trained on
- `judge`: the verdict on a run, with its reasons
"""
