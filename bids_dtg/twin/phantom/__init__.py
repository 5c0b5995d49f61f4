"""Simulated people whose responses to tasks depend on their connectome in a known way.

- `bold`: BOLD of people during tasks
- `dataset`: people as fMRIPrep leaves them, with the atlas and event files
- `diffusion`: decision times and choices of a drift-diffusion process
- `files`: people as files
- `people`: people with connectomes and parameters, and true effects of interventions
- `population`: distribution of people's parameters, fitted to real people
- `responses`: people's buttons and response times
- `rest`: series of regions with the correlations of a connectome
- `sequences`: trials of real tasks, which people perform
- `world`: loadings, weights and patterns that all people of a simulation share
"""
