"""
Test the parsers of untrusted input with random input.

A *law* is a property that a group of parsers must have for any input. `fuzz.laws` defines the laws, and `fuzz.run` searches for inputs that break one.
"""
