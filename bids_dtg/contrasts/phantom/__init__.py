"""Simulated people whose rest and responses to tasks come from the same networks.

- `bold`: runs with noise and confounds, as after a scanner and fMRIPrep
- `dataset`: people written as datasets
- `measurement`: noise, motion and the scanner
- `model`: the phantom: a population, and the people in it
- `parameters`: its parameters, fixed and hashed
- `phenotype`: age, sex and scores
- `responses`: responses to conditions, and the contrast maps made from them
- `rest`: series of networks, signals of voxels, connectome of a segment
- `structure`: the group's networks, couplings and responses
- `tasks`: conditions and contrasts of the HCP tasks
- `topography`: what is a person's own in network maps
"""
