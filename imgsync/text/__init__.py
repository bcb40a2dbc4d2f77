"""Sanitize untrusted text, redact secrets, parse and format units."""
