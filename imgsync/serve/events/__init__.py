"""Receive events of registries and of git, as hints."""
