"""Find what nodes need to reach a destination registry."""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.config.model import RegistriesConfig
from imgsync.oci.endpoint import make_base_url
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """
    How to reach one registry: its URL, and whether certificates are checked.

    `url` has no slash at its end.
    """

    registry: str
    url: str
    is_plain: bool
    is_unverified: bool

    @property
    def is_insecure(self) -> bool:
        """Return whether nothing proves which server answers."""
        return self.is_plain or self.is_unverified


def find_access(registry: str, registries: RegistriesConfig) -> Access:
    """Return how to reach *registry*, as registries.yaml says."""
    tls = registries.for_registry(registry).tls
    return Access(registry, make_base_url(registry, plain_http=not tls.enabled), not tls.enabled, tls.enabled and not tls.verify)


def list_needs(destinations: Iterable[str], registries: RegistriesConfig, *, ca: str, login: str) -> tuple[str, ...]:
    """
    Return what a node needs and what is never written: logins, certificates.

    Args:
        destinations: The destination registries that nodes ask.
        registries: Their settings.
        ca: Where the runtime looks for an authority's certificate; `{registry}` is the registry.
        login: How the runtime gets a login.
    """
    found = []
    for registry in dict.fromkeys(destinations):
        settings = registries.for_registry(registry)
        if settings.tls.ca is not None:
            found.append(f"{registry} has a certificate of an own authority: put the authority's certificate at {ca.format(registry=registry)}")
        if settings.tls.cert is not None:
            found.append(f"{registry} has a client certificate in registries.yaml, which is never written: give nodes one of their own")
        if settings.credentials is not None:
            found.append(
                f"{registry} has a login in registries.yaml, which is never written: if reading needs one, give nodes a login that can only read ({login})"
            )
    return tuple(found)


def list_insecure(destinations: Iterable[str], registries: RegistriesConfig, *, where: str) -> tuple[str, ...]:
    """Return what a node needs for plain http or unchecked certificates."""
    insecure = [name for name in dict.fromkeys(destinations) if find_access(name, registries).is_insecure]
    return (f"{', '.join(insecure)}: registries.yaml says plain http or no check of certificates, so say it to nodes too: {where}",) if insecure else ()
