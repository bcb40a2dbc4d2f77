"""Encode values as JSON documents, and decode them again (design.md §4)."""
