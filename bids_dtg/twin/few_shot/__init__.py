"""A few trials of a person, and the network's code that they point to.

- `posterior`: effects of people given some of their trials, in closed form
- `basis`: what directions of a network's codes change in the log time of each trial
- `times`: distributions of response times from effects
- `code_times`: level, practice, conditions and codes of people, learned from training people
- `prior`: what a model keeps of its training people, and predictions of new ones
- `group_network`: times by the group's network, of which nobody has a code
- `judging`: scores of these predictions, beside those in closed form
"""
