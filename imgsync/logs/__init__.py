"""Structured logs: set-up, stream and logger interface."""
