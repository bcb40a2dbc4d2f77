"""The OCI registry client: speaks the specifications' language and has never heard of a mirror."""
