"""Bundles of digital twins (Takahashi et al., 2026).

- `bundle`: writes and loads such a bundle: weights, tasks, regions, hashes of people
- `kind`: the row of such models, and what ``dtg-models info`` says of one
- `part`: the part of the card that such models have
"""
