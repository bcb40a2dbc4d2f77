"""Faults at any request and in any mixture, against the laws of design.md."""
