"""A state kept in a registry as an OCI artifact."""
