"""Bundles of digital twins (Takahashi et al., 2026).

- `bundle`: writer and reader of a bundle: weights, tasks, regions, hashes of people
- `kind`: the rows of such models, and their lines in ``dtg-models info``
- `mixed_effects`: writer and reader of a model without a network
- `own_trials`: tensors of what a new person's first trials are compared with
- `part`: the model card's fields of such models
"""
