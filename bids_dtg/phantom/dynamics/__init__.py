"""Simulated networks of regions with known parameters."""
