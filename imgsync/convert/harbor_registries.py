"""Find the hosts of Harbor's registries."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from imgsync.convert.input_file import Node
from imgsync.convert.read_references import read_registry
from imgsync.convert.registry_settings import Login, RegistryCollector

# Harbor's own variable for `--set`: a rule does not contain Harbor's host.
_OWN_VARIABLE = "HARBOR"
_CHARTS = {"helm-hub", "artifact-hub"}
# The URL of these types is that of an API, not of the registry.
_OTHER_HOST = {"aws-ecr": "ACCOUNT.dkr.ecr.REGION.amazonaws.com", "gitlab": "registry.gitlab.example"}
_KNOWN_HOSTS = {"hub.docker.com": "docker.io", "gitlab.com": "registry.gitlab.com"}
_CREATED_FIRST = {"harbor", "aws-ecr"}


class HarborRegistries:
    """Reads the registries of rules, and collects their settings."""

    def __init__(self, registries: RegistryCollector, variables: Mapping[str, str]) -> None:
        """Set where settings go, and the variables that name hosts."""
        self._registries = registries
        self._variables = variables

    def is_local(self, registry: Node | None) -> bool:
        """Return whether *registry* is Harbor itself."""
        number = registry.get("id") if registry is not None else None
        return registry is None or registry.value == {} or (number is not None and number.value == 0)

    def read_source(self, rule: Node) -> str:
        """Return the host of the source, "" if unknown."""
        return self._read_host(rule, "src_registry")

    def read_target(self, rule: Node) -> str:
        """Return the host of the destination, "" if unknown."""
        host = self._read_host(rule, "dest_registry")
        node = rule.get("dest_registry")
        kind = node.get("type") if node is not None else None
        if self.is_local(node) or (kind is not None and kind.value in _CREATED_FIRST):
            # Harbor creates missing projects and repositories at the destination.
            self._registries.update(host, create_repositories=True)
        return host

    def _read_host(self, rule: Node, key: str) -> str:
        node = rule.get(key)
        if node is None or self.is_local(node):
            text = self._variables.get(_OWN_VARIABLE, "")
            if not text:
                rule.report_error(f"the rule does not contain Harbor's own host, which is its {key}", hint=f"pass it: --set {_OWN_VARIABLE}=HOST")
                return ""
            return read_registry(rule, urlsplit(text).netloc if "://" in text else text.strip("/"))
        return self._read_remote(node)

    def _read_remote(self, node: Node) -> str:
        kind, name, url = (self._read_text(node, key) for key in ("type", "name", "url"))
        if kind in _CHARTS:
            node.report_lost("imgsync does not copy charts from a chart hub; the rule is skipped")
            return ""
        host = self._variables.get(name) or self._find_host(kind, url)
        if not host:
            hint = f"pass it: --set {name or 'NAME'}={_OTHER_HOST.get(kind, 'HOST')}"
            node.report_error("the registry's host is not in the file" if url else "the registry has no URL", hint=hint)
            return ""
        registry = read_registry(node, host)
        self._collect_settings(node, registry, url)
        return registry

    def _find_host(self, kind: str, url: str) -> str:
        try:
            host = (urlsplit(url) if "://" in url else urlsplit(f"//{url}")).netloc
        except ValueError:
            return ""
        if host in _KNOWN_HOSTS:
            return _KNOWN_HOSTS[host]
        is_api = (kind == "aws-ecr" and ".dkr." not in host) or (kind == "gitlab" and not host.startswith("registry."))
        return "" if is_api else host

    def _collect_settings(self, node: Node, registry: str, url: str) -> None:
        credential = node.get("credential")
        user = credential.get("access_key") if credential is not None else None
        if credential is not None and user is not None and user.value:
            self._registries.add_login(credential, registry, Login(user.value))
        if url.startswith("http://"):
            self._registries.update(registry, tls=False)
        elif node.read_bool("insecure"):
            self._registries.disable_verification(node, registry)

    def _read_text(self, node: Node, key: str) -> str:
        found = node.get(key)
        return found.read_text() if found is not None else ""
