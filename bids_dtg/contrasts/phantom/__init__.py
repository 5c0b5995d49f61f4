"""Simulated people whose rest and responses to tasks come from the same networks.

- `dataset`: people, their runs and phenotypes written as datasets
- `model`: the phantom: a population, its networks and tasks, the people in it, and their responses
- `parameters`: its parameters
"""
