"""Reading people's series for analyses, and processing one participant.

- `network_participants`: the people of an analysis, by session
- `request`: what is asked of the participant level: atlas, model, structural connectomes
- `sources`: reads series and structural connectomes from arrays or the participant level's output
- `worker`: turns a participant's runs into series, and these into processes by a linear core
- `write`: writes the files of a run
"""
