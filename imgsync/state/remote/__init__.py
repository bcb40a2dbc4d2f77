"""A state kept in a registry, as an OCI artifact that runs and machines share."""
