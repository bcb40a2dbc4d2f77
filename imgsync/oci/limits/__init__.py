"""Limits on requests: rate, concurrency, pulls, retries."""
