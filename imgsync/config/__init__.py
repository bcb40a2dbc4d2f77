"""YAML in, frozen values out: the desired state (`mirrors.d`) and the trust (`registries.yaml`)."""
