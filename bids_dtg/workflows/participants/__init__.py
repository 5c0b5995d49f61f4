"""The participant level of any workflow: everything but what is made of a run.

- `call`: all participants of a call; one that fails stops no other
- `request`: what a call asks for, found and checked: dataset, participants, output
- `sets`: which runs make one set of results, and the names of its files
- `read`: finds a participant's runs, skips what is complete, has the others read
- `worker`: the unit of work that `engine` runs: one participant, read ahead, made, written
- `figures`: figures of a run that the quality table of every workflow has
- `complete`: the last that is written of a set: the record that it is complete
- `dry_run`: the plan of a call, without doing it
- `verify`: whether participants' files still are what was written
- `reports`: when reports are made: beside the work, by a process that gives way to it
"""
