"""How well twins predict what people did, beside simple predictions.

- `behaviour`: what people answered, observed or decoded, and its figures a person and condition
- `scores`: response times, choices, distributions and BOLD of people against predicted ones
- `matching`: whether a person's own connectome matters: each twin on each person's data
- `baselines`: simple predictions of unseen people, beside which each figure stands
- `cohort`: people whose responses are known, and the figures of them that are predicted
- `simple`: figures, distributions and BOLD of unseen people by the baselines
- `cross_losses`: the loss of each twin on each person's responses
- `curves`: the mean trial over people: what they did, and what networks say of them
- `bold_contrasts`: contrasts of BOLD between conditions, of segments
- `evaluation`: all of that together, of one fit or cross-validated (extra ``train``)
"""
