"""Simulated people whose rest and responses to tasks come from the same networks.

- `dataset`: writes people, their runs and phenotypes as datasets
- `model`: the phantom: a population, its networks and tasks, its people and their responses
- `parameters`: its parameters
"""
