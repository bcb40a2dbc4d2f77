"""Encode values as JSON documents, and decode them."""
