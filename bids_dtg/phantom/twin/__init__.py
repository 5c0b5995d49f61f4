"""Simulated people whose responses to tasks depend on their connectome in a known way.

- `diffusion`: when and how a drift-diffusion process decides
- `population`: parameters of people, as fitted to real ones
- `world`: what all people of a simulation share
- `sequences`: trials of real tasks, which people perform
- `responses`: what people press, and when
- `bold`: BOLD of people in a run
- `people`: people with connectomes and parameters, and what an intervention does to them
- `files`: people as files
- `rest`: series of regions that correlate as a connectome says
- `dataset`: people as fMRIPrep leaves them, with the atlas and event files
"""
