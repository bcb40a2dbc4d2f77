"""Runs that are killed, cut and starved at any step, and what must be true right after, and after the next run."""
