"""Storms: random faults, after which everything must be as declared."""
