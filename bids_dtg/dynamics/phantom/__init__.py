"""Simulated networks of regions with known parameters.

- `arrays`: people as files of arrays, and the truth as tables
- `connectomes`: synthetic structural connectomes
- `dataset`: people as preprocessed by fMRIPrep, with the atlas and structural connectomes
- `people`: people whose series are simulated, with the truth
"""
