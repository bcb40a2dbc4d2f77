"""Registry clients made from the configuration."""
