"""One participant: from resting-state runs to contrast maps, sidecars, tables and a report.

- `measure`: turns one run, from files or arrays in memory, into connectomes
- `model`: the model, prepared in the background, and the average of its maps over segments
- `outputs`: the contents of the files of an average, one module for each form of output
- `quality`: quality metrics and decisions of a run
- `request`: what the user asks for: model, device, atlases, further spaces
- `task_maps`: measuring and predicting images in memory, as a scikit-learn estimator
- `worker`: the participant level: reads runs ahead, predicts, writes
- `write`: writes all files of an average and of its runs
"""
