"""One participant: from resting-state runs to contrast maps, sidecars, tables and a report.

A call:

- `request`: what a call asks for, found and checked: dataset, participants, model, output
- `call`: all participants of a call; one that fails stops no other
- `dry_run`: the plan of a call, without doing it
- `verify`: whether participants' files still are what was written
- `worker`: the unit of work that `engine` runs: one participant, read ahead, predicted, written

The first half, reading (a process of its own):

- `sets`: which runs make one set of maps, and the names of its files
- `read`: finds a participant's runs, skips what is complete, reduces runs to connectomes
- `measure`: one run: from its files to connectomes
- `arrays`: the same for an image at hand, as an array
- `task_maps`: the two halves for images at hand, as an estimator of scikit-learn
- `quality`: figures and decisions of a run

The second half, predicting and writing:

- `model`: the model of a call, made ready in the background
- `predict`: maps of a set, predicted for each segment and averaged
- `outputs`: what is written of a set and of its runs, one module a form
- `reports`: when reports are made: beside the work, by a process that gives way to it
"""
