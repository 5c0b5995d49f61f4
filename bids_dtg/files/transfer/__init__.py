"""Files from elsewhere.

- `download`: files of known size and digest, resumed and verified
- `progress`: lines on how far a transfer is
"""
