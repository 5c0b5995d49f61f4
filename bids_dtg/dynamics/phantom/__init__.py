"""Simulated networks of regions with known parameters.

- `people`: people whose series and structural connectomes are simulated, and the truth
- `dataset`: people as preprocessed by fMRIPrep, with the atlas and structural connectomes
"""
