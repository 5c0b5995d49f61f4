"""Bundles of digital twins (Takahashi et al., 2026).

- `bundle`: writer and reader of a bundle: weights, tasks, regions, hashes of people
- `part`: the model card's fields of such models
"""
