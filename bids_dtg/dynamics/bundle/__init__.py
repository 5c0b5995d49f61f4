"""Bundles of fitted models of regions' activity.

- `fits`: which series a model can describe
- `linear`: writes and loads the bundle of a linear core, and its part of the card
- `bundle`: writes and loads the bundle of a network model: weights, names of regions, hashes of
  people
- `kind`: the rows of all kinds, and their lines in ``dtg-models info``
- `part`: the part of the card that network models have
"""
