"""How well twins predict people's responses, compared with baselines.

- `scores`: scores of predicted response times, choices and distributions, for each trial
- `matching`: whether a person's own connectome matters: each twin on each person's data
- `predictions`: what twins and baselines say of people, as plain arrays
- `evaluation`: scores with intervals and verdicts over people
"""
