"""The training loop that all networks share; `loop` needs the extra ``train``.

- `loop`: Lightning epochs that resume where they stopped and keep the best one
"""
