"""One participant: from resting-state runs to contrast maps, sidecars, tables and a report.

- `measure`: one run: from its files, or arrays in memory, to connectomes
- `model`: the model of a call, prepared in the background, and maps of segments, averaged
- `outputs`: files of an average of contrast maps: one module for each form of output
- `quality`: figures and decisions of a run
- `request`: what a call asks for: model, device, atlases, further spaces
- `task_maps`: both halves for images in memory, as an estimator of scikit-learn
- `worker`: the participant level: reads runs ahead, predicts, writes
"""
