"""Limits on requests to a registry: rate, concurrency, pulls, retries."""
