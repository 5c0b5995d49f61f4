"""Bundles of digital twins (Takahashi et al., 2026).

- `part`: the part of the card that such models have
- `bundle`: writes and loads such a bundle: weights, tasks, regions, whom it was fitted to
"""
