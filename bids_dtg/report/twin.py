"""What outputs of the workflow `twin` say of themselves: its row of `workflows` in words."""

from __future__ import annotations

README = """\
Digital twins: networks made from connectomes that perform people's tasks
========================================================================

Each model in this dataset makes a network from a person's connectome; the network sees the trials
of a task and answers them (Takahashi et al., 2026). Models were fitted to measured connectomes and
measured responses; what a network answers was not measured. An effect inside a model is no evidence
of an effect in a person.

- group/model-NAME/: a model: its bundle, and how it was fitted.
- group/evaluation-NAME/: how its answers agree with those of people whom it has not seen, beside
  simple predictions.
- Tables have a JSON file of the same name that explains their columns.
"""
CITATION = """\
cff-version: 1.2.0
title: Digital twins that perform people's tasks
type: dataset
message: >-
  If you use these models, please cite the method and the program that made them.
authors:
  - name: The bids_dtg developers
references:
  - type: software
    title: bids_dtg
    version: {version}
    authors:
      - name: The bids_dtg developers
  - type: article
    title: >-
      Digital Twin Brain: Generating Multitask Behavior from Connectomes for
      Personalized Therapy
    authors:
      - family-names: Takahashi
        given-names: Y.
      - family-names: Soda
        given-names: T.
      - family-names: Tomita
        given-names: H.
      - family-names: Yamashita
        given-names: Y.
    journal: BME Frontiers
    volume: 7
    start: "0231"
    year: 2026
    doi: 10.34133/bmef.0231
"""
