"""Simulated networks of regions with known parameters.

- `arrays`: people as files of arrays, and the truth as tables
- `connectomes`: synthetic structural connectomes
- `dataset`: people as preprocessed by fMRIPrep, with the atlas and structural connectomes
- `hopf`: coupled oscillators: from noise, through a bifurcation, to oscillations
- `people`: people whose series are simulated, with the truth
- `steps`: unit noise of each step, and frames from steps
"""
