"""The digital twin of Takahashi et al., 2026: networks made from connectomes that perform tasks.

- `participant`: one participant at a time: connectomes, and what their twins do in tasks

What analyses share:

- `people`: who has a connectome and trials
- `behaviour`: what people did, of the event files of a dataset
- `source`: what connectomes are read from, one form for every source
- `array_connectomes`: connectomes from files of arrays
- `output_connectomes`: connectomes that the participant level has written
- `analysis`: people, the model and the folder of results of a call
- `columns`: what the columns of the tables mean

Analyses:

- `train`: fits a model, and writes its bundle
- `evaluate`: judges a model by people whom it was not fitted to, beside simple predictions

- `intervene`: moves connectomes, and attributes what twins do to edges

To try it:

- `demo`: simulated people perform a Stroop run, and their twins predict how
- `demo_move`: their connectomes are moved, and what twins predict stands beside the truth
"""
