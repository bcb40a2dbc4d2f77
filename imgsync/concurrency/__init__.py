"""Greenlets: workers, stop, single flight, native threads, signals."""
