"""Bundles of fitted models of regions' activity.

- `fits`: which series a model can describe
- `linear`: writes and loads the bundle of a linear core, and its part of the card
- `group_effective`: the training people's effective connectivity, in a folder of results
- `sums`: files of a linear core's sums over people, for other sites to add
- `bundle`: writes and loads the bundle of a network model: weights, names of regions, hashes of
  people
- `kind`: the rows of both kinds, and their lines in ``dtg-models info``
- `part`: the part of the card that network models have
"""
