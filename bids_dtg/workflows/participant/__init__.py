"""One participant: from resting-state runs to contrast maps, sidecars, tables and a report.

What any participant level does is in `bids_dtg.workflows.participants`. A call:

- `request`: what a call asks for beside that: model, device, atlases, further spaces
- `call`: all participants of a call
- `worker`: what a worker does: reads runs ahead, predicts, writes

The first half, reading (a process of its own):

- `read`: reduces a run to connectomes, and sends them
- `measure`: one run: from its files to connectomes
- `arrays`: the same for an image at hand, as an array
- `task_maps`: the two halves for images at hand, as an estimator of scikit-learn
- `quality`: figures and decisions of a run

The second half, predicting and writing:

- `model`: the model of a call, made ready in the background
- `predict`: maps of a set, predicted for each segment and averaged
- `outputs`: what is written of a set and of its runs, one module a form
"""
