"""The training loop that all networks share; `loop` needs the extra ``train``.

- `loop`: epochs with Lightning, resumed where they stopped, the best one kept
"""
