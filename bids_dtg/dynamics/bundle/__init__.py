"""Bundles of fitted network models (Sip et al., 2023).

- `bundle`: writes and loads such a bundle: weights, names of regions, hashes of people
- `kind`: the row of such models, and its lines in ``dtg-models info``
- `part`: the part of the card that such models have
"""
