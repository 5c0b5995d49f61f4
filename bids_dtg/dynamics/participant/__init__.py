"""Reading people's series for analyses, and processing one participant.

- `sources`: reads series and structural connectomes from arrays or the participant level's output
- `people`: selects and checks the people of an analysis
- `request`: what is asked of the participant level: atlas, model, structural connectomes
- `worker`: turns a participant's runs into series, and these into processes by a linear core
- `write`: writes the files of a run
"""
