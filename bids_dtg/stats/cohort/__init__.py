"""What is asked of many people together.

- `exchangeability`: permutations that respect families and sites, and flips of signs
"""
