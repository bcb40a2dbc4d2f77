"""YAML in, frozen values out: the desired state (`mirrors.d`) and the registry settings (`registries.yaml`)."""
