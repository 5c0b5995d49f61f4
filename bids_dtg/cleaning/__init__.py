"""What is removed from a run, and which of its frames are kept.

- `strategies`: the table of denoising strategies, one row each; sentences for the methods text
- `table`: the confounds table and its JSON file, under all names that fMRIPrep has used
- `confounds`: columns to remove and frames to keep; users' own confounds tables
- `noise_components`: components of ICA-AROMA and tedana, and which of them are noise
- `design`: the temporal design, from confounds, options and frequency band
"""
