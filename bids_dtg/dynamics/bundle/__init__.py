"""Bundles of models of regional activity.

- `network`: writes and loads the bundle of a network model: weights, names of regions, hashes of
  people, and which series were trained on
- `linear`: writes and loads the bundle of a linear core, and its part of the card
- `kind`: the kinds of model, and their lines in ``dtg-models info``
"""
