"""The training loop that all networks share; needs the extra ``train``, all but `share`.

- `share`: which of several processes this is, and its people of a batch
- `loop`: epochs with Lightning, resumed where they stopped, the best one kept
- `processes`: several processes that train one network together, one a GPU
"""
