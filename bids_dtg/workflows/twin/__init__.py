"""The digital twin of Takahashi et al., 2026: networks made from connectomes that perform tasks.

What analyses share:

- `people`: who has a connectome in files of arrays, and trials in event files
- `analysis`: people, the model and the folder of results of a call
- `columns`: what the columns of the tables mean

Analyses:

- `train`: fits a model, and writes its bundle
- `evaluate`: judges a model by people whom it was not fitted to, beside simple predictions

To try it:

- `demo`: simulated people perform a Stroop run, and their twins predict how
"""
