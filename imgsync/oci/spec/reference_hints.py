"""Say how to write a name that is not valid."""

from __future__ import annotations

from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import REGISTRY, is_repository_path

_SHOWN_DIGEST = 19
# Images in files that imgsync reads as a layout.
_FILES = frozenset({"oci", "oci-archive", "ocidir", "ocifile", "docker-archive", "tarball"})


def make_local_error(transport: str) -> InvalidReferenceError:
    """Return the error of an image that another tool's *transport* names."""
    if transport == "oci-layout":
        hint = "declare it in registries.yaml, `layouts: {NAME: {path: FOLDER}}`, and write oci-layout:NAME; for `imgsync copy`, begin a path with `./` or `/`"
        return InvalidReferenceError("a layout is named as registries.yaml names it: oci-layout:NAME", hint=hint)
    message = f"`{transport}:` does not name a registry or an OCI layout"
    if transport in _FILES:
        hint = "write oci-layout:PATH for `imgsync copy`, else declare the layout in registries.yaml and write oci-layout:NAME"
        return InvalidReferenceError(message, hint=hint)
    return InvalidReferenceError(message, hint="write HOST/REPOSITORY, or oci-layout:NAME; skopeo and other tools copy such an image into a layout")


def explain_registry(text: str) -> str:
    """Return a hint about *text*, which is not a registry name."""
    if "$" in text:
        return "variables are not filled in here; write the name itself"
    host = text.strip().lower().partition("/")[0]
    if REGISTRY.fullmatch(host) and host != text:
        return f"a registry is HOST or HOST:PORT, without a path: write {host}" if "/" in text else f"write {host}"
    return "write HOST or HOST:PORT in lower case, such as registry.internal:5000"


def explain_path(text: str, *, registry: str = "") -> str:
    """Return a hint about *text*, an invalid repository path of *registry*."""
    path, at, digest = text.partition("@")
    path, colon, tag = path.partition(":")
    whole = f"{registry}/{path}" if registry else path
    if is_repository_path(path) and (at or colon):
        name = f"{tag or 'TAG'}@{digest[:_SHOWN_DIGEST]}…" if at else tag
        put = f"{tag or 'a tag'} with this digest" if at else tag
        return f'write {whole}, and put {put} under tags.names: `tags: {{names: ["{name}"]}}`'
    above = "/".join(path.split("/")[:-1])
    if any(character in path for character in "*?[{") and (not above or is_repository_path(above)):
        where = f"namespaces: [{above}]" if above else 'namespaces: [""]'
        written = f"{{registry: {registry}, {where}}}" if registry else where
        return f"for many repositories write `{written}`{'' if path.endswith('*') and path.count('*') == 1 else ', and the pattern under `include`'}"
    usual = path.strip("/ ").lower()
    return f"write {registry}{'/' if registry else ''}{usual}" if is_repository_path(usual) else "paths are lower-case words joined by '/', '.', '_' or '-'"
