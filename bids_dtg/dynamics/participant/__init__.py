"""People's series: those that analyses read, and the work on one participant.

- `sources`: series and structural connectomes of array files, and of the participant level's output
- `people`: the people of an analysis, chosen and checked
- `request`: what a call of the participant level asks for: atlas, model, structural connectomes
- `worker`: the work: runs to series, and their processes by a linear core
- `write`: the files of a run
"""
