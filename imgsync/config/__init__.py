"""Load YAML into frozen values: declarations (`mirrors.d`) and registry settings (`registries.yaml`)."""
