"""Networks that perform tasks, and the networks that make their weights.

- `recurrence`: recurrent tanh units with each person's own weights, stepped together
- `main`: the main network, from inputs to buttons
- `hypernetwork`: all weights of a main network from a connectome, as published
- `modulated`: a group network, and the modulations by which a person's network differs from it
- `objective`: the loss of outputs against people's responses
"""
