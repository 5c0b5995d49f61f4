"""People whose rest and responses to tasks come from the same networks.

- `bold`: runs as a scanner and fMRIPrep would leave them
- `dataset`: people written as datasets
- `model`: the phantom: a population, and the people in it
- `parameters`: its parameters, frozen and hashed
- `phenotype`: age, sex and scores
- `responses`: responses to conditions, and the contrast maps they make
- `rest`: series of networks, signals of voxels, connectome of a segment
- `structure`: what all people share: networks, couplings, responses
- `tasks`: conditions and contrasts of the HCP tasks
"""
