"""One participant: from resting-state runs to contrast maps, sidecars, tables and a report.

- `arrays`: the same for an image at hand, as an array
- `measured_maps`: measured maps of the contrasts, as analyses over people read them
- `measure`: one run: from its files to connectomes
- `model`: the model of a call, made ready in the background
- `outputs`: what is written of a set of contrast maps: one module a form of output
- `predict`: maps of a set, predicted for each segment and averaged
- `quality`: figures and decisions of a run
- `read`: reduces a run to connectomes, and sends them
- `request`: what a call asks for beside that: model, device, atlases, further spaces
- `task_maps`: the two halves for images at hand, as an estimator of scikit-learn
- `worker`: the level: reads runs ahead, predicts, writes
"""
