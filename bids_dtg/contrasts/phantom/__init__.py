"""Simulated people whose rest and responses to tasks come from the same networks.

- `dataset`: people, their runs and phenotypes written as datasets
- `measurement`: noise, motion and the scanner
- `model`: the phantom: a population, the people in it, and their responses
- `parameters`: its parameters, fixed and hashed
- `rest`: series of networks, signals of voxels, connectome of a segment
- `structure`: the group's networks, couplings and responses
- `tasks`: conditions and contrasts of the HCP tasks
- `topography`: what is a person's own in network maps
"""
