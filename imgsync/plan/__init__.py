"""Plan what would change, without changing anything."""
