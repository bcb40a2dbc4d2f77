"""The loaded configuration: frozen values, defaults applied, durations in seconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, field, replace

from imgsync.config.only_pattern import OnlyPattern
from imgsync.config.public_keys import PublicKey
from imgsync.config.schedule import Schedule
from imgsync.config.secrets import Secret
from imgsync.config.serve_settings import ServeSettings
from imgsync.errors import ConfigError, FileError
from imgsync.filters.repositories import RepositoryFilter
from imgsync.filters.tags import TagFilter
from imgsync.system.dataclass import dataclass

# No registry has such a name.
BROKER_PART, SERVE_PART = "(broker)", "(serve)"
_HTTP_PORT = ":80"


@dataclass(frozen=True, slots=True)
class Concurrency:
    """The most that one mirror does at once; `blobs` is per image."""

    images: int = 64
    queries: int = 64
    blobs: int = 4


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits in seconds: a request without progress, an image, the run."""

    request_seconds: float = 30.0
    image_seconds: float = 900.0
    run_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Attempts in total, the first pause, and attempts to log in."""

    attempts: int = 4
    interval_seconds: float = 4.0
    login: int = 2


@dataclass(frozen=True, slots=True)
class Source:
    """
    Where images come from: namespaces to list, repositories, patterns of paths.

    `include` and `regex` select among the repositories below `namespaces`. `exclude` and `exclude_regex` apply to all.
    """

    registry: str
    namespaces: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exclude_regex: tuple[str, ...] = ()

    def compile_filter(self) -> RepositoryFilter:
        """Return the patterns, compiled."""
        return RepositoryFilter(include=self.include, regex=self.regex, exclude=self.exclude, exclude_regex=self.exclude_regex)

    def list_namespaces_of(self, path: str) -> tuple[str, ...]:
        """Return the namespaces that have *path* below them, as declared."""
        return tuple(namespace for namespace in self.namespaces if not namespace or path.startswith(f"{namespace}/"))


@dataclass(frozen=True, slots=True)
class Destination:
    """Where images go. `repository` and `tag` are templates (`imgsync.config.templates`)."""

    registry: str
    namespace: str = ""
    repository: str = "{path}"
    tag: str = "{tag}"

    @property
    def place(self) -> str:
        """Return the registry, and the namespace if there is one."""
        return f"{self.registry}/{self.namespace}" if self.namespace else self.registry


@dataclass(frozen=True, slots=True)
class Prune:
    """
    Limits on deletion: the most per plan, and tags to keep.

    `gone` allows to delete what the source no longer has.
    """

    at_most: int = 20
    protect: tuple[str, ...] = ()
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Requirements:
    """
    The policy that an image must satisfy.

    An empty one allows every image. One of `keys` and `identities` (names in registries.yaml) must have signed it. Every type in `artifacts` must refer to it.
    Each of its media types must match a glob of `media_types`. `max_bytes` limits its compressed size.
    """

    keys: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()
    max_bytes: int | None = None

    def __bool__(self) -> bool:
        """Return whether there is any requirement."""
        return self != Requirements()


@dataclass(frozen=True, slots=True)
class Mirror:
    """
    One declared mirror.

    `schedule` is for `imgsync serve`. `platforms` None means all. `referrers` is True for all, False for none, or a tuple of artifact types.
    `prune` None deletes nothing. `file` and `line` are where it was declared.
    """

    name: str
    source: Source
    destinations: tuple[Destination, ...]
    tags: TagFilter = TagFilter()
    description: str = ""
    suspend: bool = False
    schedule: Schedule | None = None
    platforms: tuple[str, ...] | None = None
    referrers: tuple[str, ...] | bool = True
    immutable: tuple[str, ...] = ()
    prune: Prune | None = None
    require: Requirements = Requirements()
    concurrency: Concurrency = Concurrency()
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    file: str = ""
    line: int = 0

    @property
    def selection(self) -> str:
        """Return the settings that shape an image's content, as recorded."""
        platforms = "all" if self.platforms is None else ",".join(sorted(self.platforms))
        referrers = ("all" if self.referrers else "none") if isinstance(self.referrers, bool) else ",".join(sorted(self.referrers))
        return f"platforms={platforms};referrers={referrers}"

    @property
    def declaration_digest(self) -> str:
        """Digest of what this mirror mirrors and how, wherever it is declared."""
        # When it runs changes nothing of a plan or a lock.
        settings = {name: value for name, value in asdict(replace(self, file="", line=0)).items() if name != "schedule"}
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Login:
    """A username and its password."""

    username: str
    password: Secret


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS settings; `ca`, `cert` and `key` are file paths."""

    enabled: bool = True
    verify: bool = True
    ca: str | None = None
    cert: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """
    Settings of one registry: credentials, TLS and limits.

    `rate` is (requests, seconds). `listing` names the listing API, `listing_url` its address.
    `also_known_as` are other hosts by which the registry calls itself.
    `chunk_bytes` is the largest request body of an upload, `max_blob_bytes` the largest blob that is copied from here.
    `http2` allows HTTP/2 where the registry chooses it.
    """

    credentials: Login | None = None
    rate: tuple[int, float] | None = None
    connections: int = 64
    tls: Tls = Tls()
    proxy: str | None = None
    listing: str = "auto"
    listing_url: str | None = None
    token_server: str | None = None
    also_known_as: tuple[str, ...] = ()
    chunk_bytes: int | None = None
    max_blob_bytes: int = 64 << 30
    create_repositories: bool = False
    http2: bool = True


@dataclass(frozen=True, slots=True)
class LayoutSettings:
    """
    Where an OCI layout is.

    `path` is a folder, or an archive to read. `repository` is that of images that are named by a tag only; None for the name of the layout.
    """

    path: str
    repository: str | None = None


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """How a fleet's machines reach their broker."""

    url: str | None = None
    credentials: Login | None = None
    tls: Tls = Tls()
    key: Secret | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, and further repository prefixes its signatures may name."""

    public: PublicKey
    signed_as: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SigningIdentity:
    """A keyless signer: identity, issuer, and trust root file with its fingerprint."""

    identity: str
    issuer: str
    trust_root: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RegistriesConfig:
    """
    Everything that registries.yaml holds.

    `by_host` has a host[:port] for key. Without a list (None), every source or destination is allowed.
    `require` holds the operator's requirements for images below each prefix; mirrors can only add to them.
    `unset` holds the errors of variables without a value, by the registry whose settings have them; "" for those of no registry,
    `BROKER_PART` and `SERVE_PART` for those that only a fleet or `imgsync serve` needs.
    `warnings` are about what may be wrong. `only` may name parts of mirrors, empty for all of each.
    `bundle_signers` are the names in `keys` and `identities` of which one must have signed a bundle; None if none must.
    `files` are those that it names and that were read: secrets and keys. `layouts` are by name.
    """

    by_host: Mapping[str, RegistrySettings] = field(default_factory=dict)
    allowed_sources: tuple[str, ...] | None = None
    allowed_destinations: tuple[str, ...] | None = None
    keys: Mapping[str, SigningKey] = field(default_factory=dict)
    identities: Mapping[str, SigningIdentity] = field(default_factory=dict)
    require: Mapping[str, Requirements] = field(default_factory=dict)
    unset: Mapping[str, tuple[FileError, ...]] = field(default_factory=dict)
    warnings: tuple[FileError, ...] = ()
    broker: BrokerSettings = BrokerSettings()
    serve: ServeSettings = ServeSettings()
    bundle_signers: tuple[str, ...] | None = None
    files: tuple[str, ...] = field(default=(), compare=False)
    layouts: Mapping[str, LayoutSettings] = field(default_factory=dict)

    def raise_if_unset(self, *registries: str) -> None:
        """
        Refuse to use *registries*, or parts, without what a variable should say.

        Raises:
            ConfigError: A variable in their settings, or in those of no registry, is not set.
        """
        names = dict.fromkeys(("", *map(self.find_name, registries)))
        errors = tuple(error for name in names for error in self.unset.get(name, ()))
        if errors:
            raise ConfigError(errors)

    def for_registry(self, registry: str) -> RegistrySettings:
        """Return the settings of *registry* (host[:port]), or the defaults."""
        return self.by_host.get(self.find_name(registry), RegistrySettings())

    def find_name(self, registry: str) -> str:
        """Return the one name of *registry*: over http, without its port 80."""
        host = registry.removesuffix(_HTTP_PORT)
        declared = self.by_host.get(host) if host != registry else None
        return registry if declared is None or declared.tls.enabled else host

    def find_prefix(self, prefix: str) -> str:
        """Return *prefix* with its registry's one name."""
        registry, slash, path = prefix.partition("/")
        return f"{self.find_name(registry)}{slash}{path}"


@dataclass(frozen=True, slots=True)
class Config:
    """
    Mirrors and registry settings, ready for a plan.

    `files` are the declaration files in order. `is_complete` is False if some of their mirrors, or files beside them, were left out.
    `warnings` are about what may be wrong. With `is_by_hand`, no file declares the mirror: it is that of `imgsync copy`. With `only_may_miss`, a pattern of
    `only` may match no image. `others` are all mirrors that this run leaves out, if they are known: what they may select is not pruned.
    `within` is set if the sources stand for a part of what they have, as a bundle does: the tags, or digests, by mirror and repository path. Others
    are neither selected nor missing.
    """

    mirrors: tuple[Mirror, ...]
    registries: RegistriesConfig
    files: tuple[str, ...] = field(default=(), compare=False)
    is_complete: bool = True
    warnings: tuple[FileError, ...] = ()
    only: tuple[OnlyPattern, ...] = ()
    is_by_hand: bool = False
    only_may_miss: bool = False
    others: tuple[Mirror, ...] = ()
    within: Mapping[str, Mapping[str, Collection[str]]] | None = None

    def filter(self, keep: Callable[[Mirror], bool]) -> Config:
        """Return a configuration with only the mirrors to *keep*."""
        mirrors = tuple(mirror for mirror in self.mirrors if keep(mirror))
        return replace(self, mirrors=mirrors, is_complete=self.is_complete and len(mirrors) == len(self.mirrors))
