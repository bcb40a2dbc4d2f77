"""Give declarations one layout; comments and meaning stay."""
