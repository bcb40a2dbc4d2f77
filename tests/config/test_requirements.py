"""`require`, `keys` and `identities`: errors, merging and `--show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgsync.config.load import load_config
from imgsync.config.model import Mirror, RegistriesConfig, Requirements, Source
from imgsync.config.registries import read_registries
from imgsync.config.show import show_config
from imgsync.errors import ConfigError
from imgsync.images.image import ManifestCache
from imgsync.images.referrers import ReferrerReader
from imgsync.oci.spec.reference import Repository
from imgsync.policy.policy import ImagePolicy
from tests.support.keyless import IDENTITY, ISSUER, Sigstore
from tests.support.signing import Signer, signer

NAMED = {"keys": {"prod": {"pem": signer().pem}}}
MIRROR = {"name": "a", "source": "quay.io/company/app", "destinations": ["r.example.com/m"]}


def loaded(folder: Path, registry_settings: dict, *documents: dict, environ: dict[str, str] | None = None):
    """Return the configuration, or its errors without names of folders."""
    registries = folder / "registries"
    registries.write_text(json.dumps({"version": 1} | registry_settings))
    parts = [folder / f"{number}.yaml" for number, _ in enumerate(documents)]
    for path, document in zip(parts, documents, strict=True):
        path.write_text(json.dumps({"version": 1} | document))
    try:
        return load_config([str(path) for path in parts], registries=str(registries), environ=environ or {})
    except ConfigError as error:
        return [f"{fault.path}: {fault.message}" + (f" ({fault.hint})" if fault.hint else "") for fault in error.errors]


@pytest.mark.parametrize(
    ("require", "expected"),
    [
        ({"signatures": {"keys": ["prd"]}}, "mirrors[0].require.signatures.keys[0]: registries.yaml has no key named 'prd' (did you mean 'prod'?)"),
        (
            {"signatures": {"keys": ["x"]}},
            "mirrors[0].require.signatures.keys[0]: registries.yaml has no key named 'x' (defined: prod; the operator of registries.yaml can add one)",
        ),
        (
            {"signatures": {"identities": ["ci"]}},
            "mirrors[0].require.signatures.identities[0]: registries.yaml has no identity named 'ci' (defined: none; the operator of ",
        ),
        ({"signatures": {}}, "mirrors[0].require.signatures: expected `keys` or `identities` (name the signers: `keys: [NAME]`)"),
        ({"signatures": {"keys": []}}, "mirrors[0].require.signatures.keys: the list must not be empty"),
        ({"signatures": {"key": ["prod"]}}, "mirrors[0].require.signatures.key: unknown setting (did you mean 'keys'?)"),
        ({"signatures": {"keys": [signer().pem[:30]]}}, "registries.yaml has no key named"),
        ({"media_types": ["[a"]}, "mirrors[0].require.media_types[0]: '[a' has a '[' that is not closed"),
        ({"max_size": "2 GB"}, "mirrors[0].require.max_size: invalid size '2 GB'"),
        ({"max_size": 5}, "mirrors[0].require.max_size: expected a size, got the number 5"),
        ({"artifacts": "sbom"}, "mirrors[0].require.artifacts: expected a list, got text"),
        ("signed", "mirrors[0].require: expected a mapping, got text"),
    ],
)
def test_error_of_a_requirement_has_place_and_remedy(tmp_path, require, expected):
    """In `validate`, without network."""
    (fault,) = loaded(tmp_path, NAMED, {"mirrors": [MIRROR | {"require": require}]})

    assert expected in fault


@pytest.mark.parametrize(
    ("registry_settings", "expected"),
    [
        ({"keys": {"prod": {"file": "no-such.pub"}}}, "keys.prod.file: cannot read the key: No such file or directory"),
        ({"keys": {"prod": {}}}, "keys.prod: expected either `file` or `pem` (name the file that cosign wrote: `{file: cosign.pub}`)"),
        ({"keys": {"prod": {"file": "a", "pem": "b"}}}, "keys.prod: expected either `file` or `pem`"),
        ({"keys": {"prod": {"pem": "rubbish"}}}, "keys.prod.pem: not a public key in PEM (a public key begins with -----BEGIN PUBLIC KEY-----)"),
        ({"keys": {"prod": {"pem": signer().pem.replace("M", "%", 1)}}}, "keys.prod.pem: not a public key in PEM"),
        ({"keys": {"prod": {"pem": signer().private_pem}}}, "keys.prod.pem: this is a private key; only the signer may have it"),
        ({"keys": {"prod": {"pem": signer("x", "p521").pem}}}, "keys.prod.pem: ECDSA keys must use P-256 or P-384; this one uses secp521r1"),
        ({"keys": {"prod": {"pem": signer("x", "rsa1024").pem}}}, "keys.prod.pem: RSA keys need at least 2048 bits; this one has 1024"),
        ({"keys": {"prod": {"pem": "${COSIGN_KEY}"}}}, "keys.prod.pem: the environment variable COSIGN_KEY is not set"),
        (
            NAMED | {"require": {"quay.io": {"signatures": {"keys": ["prd"]}}}},
            "require.quay.io.signatures.keys[0]: unknown name 'prd' in `keys` (did you mean",
        ),
        (NAMED | {"require": {"quay.io": {"signatures": {}}}}, "require.quay.io.signatures: expected `keys` or `identities`"),
        (
            {"require": {"docker.io/x": {"max_size": "1GiB"}, "index.docker.io/x/": {"max_size": "2GiB"}}},
            "require.index.docker.io/x/: duplicate prefix docker.io/x (keep one)",
        ),
        ({"require": {"quay.io": {}}}, "require.quay.io: expected at least one requirement (such as `signatures: {keys: [NAME]}`"),
        ({"require": {"quay.io": None}}, "require.quay.io: expected a mapping, got null"),
        (NAMED | {"require": {"quay.io": {"signatures": {"keys": []}}}}, "require.quay.io.signatures.keys: the list must not be empty"),
        (NAMED | {"require": {"quay.io": {"signature": {"keys": ["prod"]}}}}, "require.quay.io.signature: unknown setting (did you mean 'signatures'?)"),
        ({"keys": {"prod": {"pem": "${COSIGN_KEY:-}"}}}, "keys.prod.pem: not a public key in PEM"),
        ({"require": {"Quay": {"max_size": "1GiB"}}}, "'Quay' is not a registry name"),
        (NAMED | {"bundles": {"require": {"signed_by": ["prd"]}}}, "bundles.require.signed_by[0]: unknown name 'prd' in `signed_by` (did you mean 'prod'?)"),
        (NAMED | {"bundles": {"require": {"signed_by": []}}}, "bundles.require.signed_by: the list must not be empty"),
        (NAMED | {"bundles": {"require": {}}}, "bundles.require: missing required setting 'signed_by'"),
        ({"identities": {"ci": {"identity": "me", "issuer": "x"}}}, "identities.ci: missing required setting 'trust_root'"),
        ({"identities": {"ci": {"identity": "me", "issuer": "x", "trust_root": "none"}}}, "identities.ci.trust_root: cannot read the trust root"),
    ],
)
def test_error_of_a_signer_has_place_and_remedy(tmp_path, registry_settings, expected):
    """The text of a private key is not repeated."""
    faults = loaded(tmp_path, registry_settings, {"mirrors": [MIRROR]})

    assert len(faults) == 1
    assert expected in faults[0]
    assert "MIG" not in faults[0]


@pytest.mark.parametrize("text", ["{}", "[]", "rubbish", '{"mediaType": "application/json"}'])
def test_invalid_trust_root_is_an_error(tmp_path, text):
    """Before any request."""
    (tmp_path / "root.json").write_text(text)
    person = {"identity": IDENTITY, "issuer": ISSUER, "trust_root": str(tmp_path / "root.json")}

    (fault,) = loaded(tmp_path, {"identities": {"ci": person}}, {"mirrors": [MIRROR]})

    assert fault.startswith("identities.ci.trust_root: not a sigstore trust root")


def test_mirror_adds_to_the_default_requirements(tmp_path):
    """What `--show` prints means the same when it is read again."""
    (tmp_path / "prod.pub").write_text(signer().pem)
    (tmp_path / "root.json").write_text(Sigstore().trust_root)
    person = {"identity": IDENTITY, "issuer": ISSUER, "trust_root": str(tmp_path / "root.json")}
    registry_settings = {
        "keys": {"prod": {"file": str(tmp_path / "prod.pub"), "signed_as": ["docker.io/company"]}, "old": {"pem": "${OLD}"}},
        "identities": {"ci": person},
        "require": {"quay.io": {"artifacts": ["sbom"]}},
    }
    defaults = {"require": {"signatures": {"keys": ["prod", "old"]}, "max_size": "2GiB"}}
    own = {"require": {"max_size": "512MiB", "media_types": ["application/**"]}}

    config = loaded(tmp_path, registry_settings, {"defaults": defaults, "mirrors": [MIRROR | own]}, environ={"OLD": signer("old").pem})

    assert config.mirrors[0].require == Requirements(keys=("prod", "old"), media_types=("application/**",), max_bytes=512 << 20)
    assert config.registries.require == {"quay.io": Requirements(artifacts=("sbom",))}
    shown = show_config(config)
    wanted, trusted = shown.split("---\n# registries.yaml\n")
    (tmp_path / "shown.yaml").write_text(wanted)
    (tmp_path / "shown-registries.yaml").write_text(trusted)
    again = load_config([str(tmp_path / "shown.yaml")], registries=str(tmp_path / "shown-registries.yaml"), environ={})
    assert again.mirrors[0].require == config.mirrors[0].require
    assert again.registries == config.registries


def gate(folder: Path, registry_settings: dict) -> ImagePolicy:
    registries = folder / "registries.yaml"
    registries.write_text(json.dumps({"version": 1} | registry_settings))
    found, faults = read_registries(str(registries), environ={})
    assert faults == []
    cache = ManifestCache()
    return ImagePolicy(found, cache, ReferrerReader(cache))


@pytest.mark.parametrize(
    ("prefix", "path", "covers"),
    [
        ("quay.io", "quay.io/company/app", True),
        ("quay.io/company", "quay.io/company/app", True),
        ("quay.io/company/app", "quay.io/company/app", True),
        ("quay.io/company/", "quay.io/company/app", True),
        ("quay.io/comp", "quay.io/company/app", False),
        ("quay.io:8443", "quay.io/company/app", False),
        ("quay.io:443", "quay.io/company/app", True),
        ("docker.io/nginx", "docker.io/library/nginx", True),
        ("index.docker.io/nginx", "docker.io/library/nginx", True),
        ("docker.io/library", "docker.io/library/nginx", True),
        ("docker.io/nginx", "docker.io/nginxinc/nginx", False),
    ],
)
def test_operator_requires_below_a_prefix(tmp_path, prefix, path, covers):
    """By whole parts, in addition to the mirror's requirements."""
    registry, _, rest = path.partition("/")
    own = Requirements(max_bytes=1 << 30)
    mirror = Mirror("a", Source(registry, repositories=(rest,)), (), require=own)

    asked = gate(tmp_path, {"require": {prefix: {"artifacts": ["sbom"]}}}).list_requirements(mirror, Repository(registry, rest))

    assert asked == ((own, Requirements(artifacts=("sbom",))) if covers else (own,))


def selection(folder: Path, registry_settings: dict, require: Requirements) -> str:
    mirror = Mirror("a", Source("quay.io", repositories=("company/app",)), (), require=require)
    return gate(folder, registry_settings).describe_settings(mirror, Repository("quay.io", "company/app"))


def named(by: Signer, **more: object) -> dict:
    return {"keys": {"prod": {"pem": by.pem} | more}}


def test_changed_requirements_change_the_fingerprint(tmp_path):
    """Another key, limit or operator's rule; equal ones do not."""
    (tmp_path / "root.json").write_text(Sigstore().trust_root)
    signed = Requirements(keys=("prod",))
    found = [
        selection(tmp_path, {}, Requirements()),
        selection(tmp_path, named(signer()), signed),
        selection(tmp_path, named(signer("other")), signed),
        selection(tmp_path, named(signer(), signed_as=["ghcr.io/x"]), signed),
        selection(tmp_path, {}, Requirements(max_bytes=1)),
        selection(tmp_path, {"require": {"quay.io": {"max_size": "1KiB"}}}, Requirements()),
    ]

    assert len(set(found)) == len(found)
    assert found[0] == Mirror("a", Source("quay.io"), ()).selection
    assert selection(tmp_path, named(signer()), signed) == found[1]
    assert selection(tmp_path, {"require": {"ghcr.io": {"max_size": "1KiB"}}}, Requirements()) == found[0]


def test_empty_requirements_need_no_key():
    """Nothing is required."""
    cache = ManifestCache()
    empty = ImagePolicy(RegistriesConfig(), cache, ReferrerReader(cache))

    assert empty.has_passed(Mirror("a", Source("quay.io"), ()), Repository("quay.io", "a/b"), f"sha256:{'0' * 64}")
