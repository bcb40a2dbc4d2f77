"""Structured logs: set-up and event names."""
