"""Runs killed, stopped or without disk space at any step."""
