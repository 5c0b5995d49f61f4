"""The training loop that all networks share; `loop` needs the extra ``train``.

- `chance`: torch's random numbers, borrowed and given back
- `loop`: epochs with Lightning, resumed where they stopped, the best one kept
"""
