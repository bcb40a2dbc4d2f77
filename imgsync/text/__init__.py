"""Text that is safe to show, secrets removed, and units."""
