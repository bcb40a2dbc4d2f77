"""An OCI registry client that knows nothing about mirrors."""
