"""imgsync mirrors container images as declared in YAML: plan in a pull request, apply in CI."""

__version__ = "0.1.0"
