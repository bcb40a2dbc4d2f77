"""A state kept in a registry, as an OCI artifact under a tag, so that it travels from run to run and from machine to machine."""
