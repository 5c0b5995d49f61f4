"""The training loop that all networks share; `loop` and `processes` need the extra ``train``.

- `share`: which of several processes this is, and its people of a batch
- `chance`: torch's random numbers, borrowed and given back
- `loop`: epochs with Lightning, resumed where they stopped, the best one kept
- `processes`: several processes that train one network together, one a GPU
"""
