"""One participant at a time: runs to connectomes, and what twins made from these do in tasks.

- `request`: what a call asks for: atlas, model, event files
- `events`: each participant's event files, and whose sequence others perform
- `call`: all participants of a call
- `worker`: what a worker does: reads runs ahead, averages their edges, lets twins perform
- `connectome`: the connectome of a set of runs
- `infer`: what networks do in the tasks of a set
- `behaviour`: the figures of it, beside what the participant did
- `columns`: what the columns of the tables of behaviour mean
- `write`: the files of runs and sets, and their records
"""
