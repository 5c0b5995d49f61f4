"""Training losses for contrast maps: reconstruction, and contrast between people."""

from __future__ import annotations

import torch
from torch import Tensor


def crr_loss(
    pred: Tensor,
    true: Tensor,
    mask: Tensor | None = None,
    alpha: float = 0.25,
    margin: float = 1.0,
) -> Tensor:
    """Return the contrastive-regularised reconstruction (CR-R) loss of a batch.

    ``R + alpha * max(0, R - C + margin)``, where R is the mean squared error of
    each person's own maps and C is `contrastive_loss`. While the second term is above 0, the
    best prediction is that of R with deviations from the mean scaled by ``1 + alpha``.

    Parameters
    ----------
    pred, true
        Predicted and measured maps, (people, contrasts, i, j, k).
    mask
        Voxels that count, (i, j, k), boolean or 0/1. All voxels if None.
    alpha
        Weight α of the hinge term; 0 leaves the mean squared error.
    margin
        How far C should exceed R, in squared units of the maps.

    Returns
    -------
    torch.Tensor
        A scalar with a gradient in `pred`; float32 at least.

    Raises
    ------
    ValueError
        If shapes differ, the mask is empty or there are fewer than two people.

    Notes
    -----
    Serin et al. 2025, Communications Biology, "CR-R loss"; the formula printed
    there has ``min(0, .)``, but the published models were trained with ``max``.

    Examples
    --------
    >>> import torch
    >>> maps = torch.randn(4, 2, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    >>> bool(crr_loss(maps, maps) < crr_loss(maps + 1, maps))
    True
    """
    predicted, measured = _flatten_people(pred, true, mask)
    reconstruction = (predicted - measured).square().mean()
    contrast = _mean_pairwise_error(predicted, measured)
    return reconstruction + alpha * torch.relu(reconstruction - contrast + margin)


def contrastive_loss(pred: Tensor, true: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return C: the mean over pairs i < j of the error of i's prediction for person j.

    Parameters
    ----------
    pred, true
        Predicted and measured maps, (people, contrasts, i, j, k).
    mask
        Voxels that count, (i, j, k), boolean or 0/1. All voxels if None.

    Returns
    -------
    torch.Tensor
        A scalar: mean squared error over the pairs, the contrasts and the voxels.

    Raises
    ------
    ValueError
        If shapes differ, the mask is empty or there are fewer than two people.

    Examples
    --------
    >>> import torch
    >>> maps = torch.randn(4, 2, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    >>> bool(contrastive_loss(maps, maps) > contrastive_loss(maps, maps.flip(0)))
    True
    """
    return _mean_pairwise_error(*_flatten_people(pred, true, mask))


def _flatten_people(
    pred: Tensor, true: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return both maps as (people, contrasts × voxels), in float32 or better."""
    if pred.shape != true.shape or pred.ndim != 5:
        raise ValueError(
            "predicted and measured maps are (people, contrasts, i, j, k) of the same shape; "
            f"found {tuple(pred.shape)} and {tuple(true.shape)}"
        )
    if pred.shape[0] < 2:
        raise ValueError(
            f"this loss compares people: a batch needs at least 2, found {pred.shape[0]}"
        )
    if mask is not None:
        if mask.shape != pred.shape[2:]:
            raise ValueError(
                f"the mask needs the maps' grid {tuple(pred.shape[2:])}, found {tuple(mask.shape)}"
            )
        inside = mask.to(device=pred.device) > 0
        if not bool(inside.any()):
            raise ValueError("the mask has no voxels")
        pred, true = pred[..., inside], true[..., inside]
    # Half precision is enough for the maps, but not for the sums of their squares.
    dtype = torch.promote_types(pred.dtype, true.dtype)
    precision = torch.promote_types(dtype, torch.float32)
    return pred.flatten(1).to(precision), true.flatten(1).to(precision)


def _mean_pairwise_error(predicted: Tensor, measured: Tensor) -> Tensor:
    """Mean over i < j of the mean squared difference of predicted[i] and measured[j].

    ``|p - t|² = |p|² + |t|² - 2 p·t`` needs one (people × people) product and no copy for each
    pair. Differences do not change when one vector is subtracted from all; subtracting the mean
    measured map keeps the squares as small as the errors, so that little precision is lost.
    """
    people, values = measured.shape
    with torch.autocast(device_type=measured.device.type, enabled=False):
        centre = measured.mean(dim=0)
        p, t = predicted - centre, measured - centre
        p_squares, t_squares = p.square().sum(dim=1), t.square().sum(dim=1)
        distances = p_squares[:, None] + t_squares[None, :] - 2 * (p @ t.T)
        pairs = torch.triu_indices(people, people, offset=1, device=measured.device)
        first, second = pairs
        return distances[first, second].mean() / values
