"""Bundles of fitted models of regions' activity.

- `core`: what linear cores and named models share in their bundles
- `fits`: which series a model can describe
- `linear`: writes and loads the bundle of a linear core, and its part of the card
- `named`: writes and loads the bundle of a named model, and its part of the card
- `group_effective`: the training people's effective connectivity, in a folder of results
- `sums`: files of a linear core's sums over people, for other sites to add
- `bundle`: writes and loads the bundle of a network model: weights, names of regions, hashes of
  people
- `kind`: the rows of all kinds, and their lines in ``dtg-models info``
- `part`: the part of the card that network models have
"""
