"""Divide work among machines: pure, without I/O, the same on each machine."""
