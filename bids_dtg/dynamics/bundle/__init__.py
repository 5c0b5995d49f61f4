"""Bundles of fitted models of regions' activity.

- `network`: writes and loads the bundle of a network model: weights, names of regions, hashes of
  people, and which series a model can describe
- `linear`: writes and loads the bundle of a linear core, and its part of the card
- `kind`: the rows of all kinds, and their lines in ``dtg-models info``
"""
