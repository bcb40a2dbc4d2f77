"""Find the credentials of a registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from imgsync.config.model import RegistrySettings
from imgsync.oci.auth.aws import Aws, has_boto3, is_ecr
from imgsync.oci.auth.keychain import Keychain
from imgsync.oci.endpoint import Credentials, CredentialSource, DeclaredCredentials
from imgsync.system.dataclass import dataclass


def make_credential_source(registry: str, settings: RegistrySettings, keychain: Keychain, *, on_secret: Callable[[Iterable[str]], None]) -> CredentialSource:
    """Return the declared credentials of *registry*, else those of *keychain*."""
    if settings.credentials is None:
        # Registries reached over http may be written with its port.
        return _KeychainSource(keychain, registry, "" if settings.tls.enabled or ":" in registry else f"{registry}:80")
    username, password = settings.credentials.username, settings.credentials.password.reveal()
    # The pair too: Basic authentication sends it in base64.
    on_secret([password, f"{username}:{password}"])
    return DeclaredCredentials(Credentials(username, password, "registries.yaml"))


def find_cloud_credentials(registry: str) -> Credentials | None:
    """Return credentials from this machine's cloud identity, if any."""
    return Aws(registry, "source").log_in() if is_ecr(registry) and has_boto3() else None


@dataclass(frozen=True, slots=True)
class _KeychainSource:
    """The keychain's credentials for one registry."""

    keychain: Keychain
    registry: str
    other_name: str = ""

    def find(self, path: str, *, renew: bool = False) -> Credentials | None:
        found = self.keychain.find(self.registry, path, renew=renew)
        return found if found is not None or not self.other_name else self.keychain.find(self.other_name, path, renew=renew)

    @property
    def places(self) -> tuple[str, ...]:
        aws = ("AWS" if has_boto3() else "AWS (needs imgsync's extra `ecr`)",) if is_ecr(self.registry) else ()
        return ("registries.yaml", *self.keychain.places, *aws)
