"""Processes that work side by side. It knows nothing of brains.

- `machine`: cores and memory that a container or a scheduler leaves this process
- `capacity`: how many processes work side by side, and their threads
- `backlog`: participants that wait for a process
- `ahead`: work that runs ahead in a process of its own, and reports by events
- `display`: what a user sees meanwhile: a bar, or plain lines
"""
