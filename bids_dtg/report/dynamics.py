"""What outputs of the workflow `dynamics` say of themselves: its row of `workflows` in words."""

from __future__ import annotations

README = """\
Network models of resting-state activity
========================================

Each model in this dataset describes the resting-state activity of people's regions as one
dynamical system (Sip et al., 2023): every region follows the same equation, with parameters of its
own, and is driven by the regions that it is connected with. Models were fitted to measured series
and structural connectomes; parameters are estimates, and simulated series were not measured.

- group/model-NAME/: a model: its bundle, which carries everybody's parameters, and how it was
  fitted.
- group/evaluation-NAME/: how its simulations agree with the measured series, beside simple models.
- group/simulation-NAME/: series that a model simulates.
- group/fixed-points-NAME/: where the activity of a model rests.
- Tables have a JSON file of the same name that explains their columns.
"""
CITATION = """\
cff-version: 1.2.0
title: Network models of resting-state activity
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
      Characterization of regional differences in resting-state fMRI with a
      data-driven network model of brain dynamics
    authors:
      - family-names: Sip
        given-names: Viktor
      - family-names: Hashemi
        given-names: Meysam
      - family-names: Dickscheid
        given-names: Timo
      - family-names: Amunts
        given-names: Katrin
      - family-names: Petkoski
        given-names: Spase
      - family-names: Jirsa
        given-names: Viktor
    journal: Science Advances
    volume: 9
    start: eabq7547
    year: 2023
    doi: 10.1126/sciadv.abq7547
"""
