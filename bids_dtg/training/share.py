"""A process's share of the people of a batch, where several processes train one network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Share:
    """Which of several processes this is."""

    rank: int = 0  # from 0
    processes: int = 1  # that share each batch

    def positions(self, people: int) -> NDArray[np.intp]:
        """Return the people of a batch that are this process's, (people of the share,).

        All shares have one size, in the batch's order: where the people cannot be divided, the
        last of them is in several shares, and at the end of all shares put together.

        Examples
        --------
        >>> Share(rank=1, processes=2).positions(5)
        array([3, 4, 4])
        """
        size = -(-people // self.processes)
        own = np.arange(self.rank * size, (self.rank + 1) * size)
        return np.minimum(own, people - 1)


WHOLE = Share()
