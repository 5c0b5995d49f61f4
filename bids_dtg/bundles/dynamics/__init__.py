"""Bundles of fitted network models (Sip et al., 2023).

- `part`: the part of the card that such models have
- `bundle`: writes and loads such a bundle: weights, names of regions, whom it was fitted to
"""
