"""Networks that perform tasks, and what makes their weights.

- `recurrence`: tanh units with weights of their own a person, stepped together
- `main`: the main network, from inputs to buttons and BOLD
- `hypernetwork`: all weights of a main network from a connectome, as published
- `modulated`: a group network, and the few numbers by which a person's differs from it
- `objective`: the loss of outputs against what people did
"""
