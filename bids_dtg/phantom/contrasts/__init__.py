"""People whose rest and responses to tasks come from the same networks.

- `model`: the phantom: a population, and the people in it
- `parameters`: its parameters, frozen and hashed
- `structure`: what all people share: networks, couplings, responses
- `rest`: series of networks, signals of voxels, connectome of a segment
- `bold`: runs as a scanner and fMRIPrep would leave them
- `task_run`: runs of a task: trials, and the responses to them
- `tasks`: conditions and contrasts of the HCP tasks
- `responses`: responses to conditions, and the contrast maps they make
- `phenotype`: age, sex and scores
- `dataset`: people written as datasets
"""
