"""Which bytes count as a signature, and why others do not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.config.model import SigningIdentity, SigningKey
from imgsync.config.public_keys import parse_public_key
from imgsync.oci.spec.reference import Repository
from imgsync.policy.cosign import SignedImage, find_bundle_problem, find_payload_problem
from imgsync.policy.sigstore import find_identity_problem
from tests.support.images import to_json
from tests.support.keyless import IDENTITY, ISSUER, Sigstore, another_ca, changed
from tests.support.signing import Signer, bundle, payload_of, signer, simple, statement

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"
WANTED = SignedImage(Repository("quay.io", "company/app"), DIGEST)
NAME = "quay.io/company/app"


def key_of(by: Signer, *signed_as: str) -> SigningKey:
    return SigningKey(parse_public_key(by.pem.encode()), signed_as)


PROD = key_of(signer())


def repeated(payload: bytes) -> bytes:
    """Return JSON with the digest twice, so that readers may take either."""
    return payload.replace(b'"image":{', b'"image":{"docker-manifest-digest":"' + OTHER.encode() + b'",', 1)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
def test_signature_by_each_kind_of_key_counts(kind):
    """For simple signing and for a bundle."""
    by = signer("prod", kind)
    good = simple(by, DIGEST, NAME)

    assert find_payload_problem(good.payload, good.text, [key_of(by)], WANTED) == ""
    assert find_bundle_problem(bundle(by, statement(DIGEST)), [key_of(by)], WANTED) == ""


def test_signature_that_cosign_made_counts():
    """A public image's signature, as its registry serves it; the other tests sign in this form."""
    pem = (
        b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE3CUlnwh825Z5wQAJV6TekEi6bCK2\n"
        b"YvAg7A+aeerM5hvc4CCCJFBae5AjnsjGHv4V/3xzssck6e51W+b0jU4qVw==\n-----END PUBLIC KEY-----\n"
    )
    text = "MEQCIAQScnT03MVfmxjYyW5qAmvQ6TSoukPuw0HmSVlMBwYEAiAzGb76cvDb4CHJ+H6tD00bW1Sh1CK6opaRmI2ist4p2A=="
    digest = "sha256:7396780b5862cf8b37527854a2a2331e5c746b6a71aa1f424258c3bfaf3a1bd7"
    wanted = SignedImage(Repository("ghcr.io", "freedomofpress/dangerzone/v1"), digest)
    payload = payload_of(digest, str(wanted.repository))

    assert find_payload_problem(payload, text, [SigningKey(parse_public_key(pem))], wanted) == ""
    assert find_payload_problem(payload + b"\n", text, [SigningKey(parse_public_key(pem))], wanted) != ""


@pytest.mark.row("SIG-05")
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        pytest.param(payload_of(OTHER, NAME), f"of another image, {OTHER}", id="another digest"),
        pytest.param(payload_of("", NAME), "of another image, unnamed", id="no digest"),
        pytest.param(payload_of(DIGEST, NAME, kind="atomic container signature"), "with a payload that is not a cosign image signature", id="another type"),
        pytest.param(b"not JSON", "damaged", id="no JSON"),
        pytest.param(b"[]", "damaged", id="a list"),
        pytest.param(b'{"critical":' * 60_000, "damaged", id="nested without end"),
        pytest.param(b"\xff\xfe", "damaged", id="no UTF-8"),
        pytest.param(to_json({"critical": [DIGEST]}), "with a payload that is not a cosign image signature", id="another shape"),
        pytest.param(repeated(payload_of(DIGEST, NAME)), "damaged", id="a key twice"),
        pytest.param(payload_of(DIGEST, "quay.io/company/other"), "for another repository, quay.io/company/other", id="another repository"),
        pytest.param(payload_of(DIGEST, "quay.io/company/app-evil"), "for another repository, quay.io/company/app-evil", id="a repository that begins alike"),
        pytest.param(payload_of(DIGEST, "not a reference!"), "for another repository, not a reference!", id="no reference"),
    ],
)
def test_payload_with_another_claim_does_not_count(payload, reason):
    """However well signed, it must name this digest in an unambiguous form."""
    signed = simple(signer(), DIGEST, NAME, payload=payload)

    assert find_payload_problem(signed.payload, signed.text, [PROD], WANTED).startswith(reason)


@pytest.mark.row("SIG-05")
@pytest.mark.parametrize("text", ["", "%%%", "AAAA", "MEUC", "é", base64.b64encode(b"\x30\x06\x02\x01\x01\x02\x01\x01").decode()])
def test_malformed_signature_does_not_count(text):
    """Neither invalid base64 nor an empty signature causes a traceback."""
    assert find_payload_problem(payload_of(DIGEST, NAME), text, [PROD], WANTED) in {"damaged", "by another key or of other content"}


@pytest.mark.row("SIG-05")
def test_payload_is_not_read_before_its_signature_is_verified():
    """The reason is the same for a fitting claim and for invalid JSON."""
    other = signer("other")
    said = {
        find_payload_problem(signed.payload, signed.text, [PROD], WANTED) for signed in (simple(other, DIGEST, NAME), simple(other, DIGEST, NAME, payload=b"{"))
    }

    assert said == {"by another key or of other content"}


@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
def test_one_altered_byte_invalidates(kind):
    """In the payload or in the signature."""
    by = signer("prod", kind)
    good = simple(by, DIGEST, NAME)
    raw = bytearray(base64.b64decode(good.text))
    raw[-1] ^= 1

    assert find_payload_problem(good.payload + b" ", good.text, [key_of(by)], WANTED) == "by another key or of other content"
    assert find_payload_problem(good.payload, base64.b64encode(raw).decode(), [key_of(by)], WANTED) == "by another key or of other content"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(DIGEST),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["critical", "image", "identity", "type", "_type", "subject", "digest", "x"]), inner)
    ),
    max_leaves=12,
)


@pytest.mark.row("SIG-05")
@given(payload=st.binary(max_size=64) | VALUES.map(to_json), envelope=VALUES)
def test_random_bytes_neither_crash_nor_pass(payload, envelope):
    """Any bytes give a reason, never a traceback or a success."""
    signed = simple(signer(), DIGEST, NAME, payload=payload)

    assert find_payload_problem(payload, signed.text, [PROD], WANTED)
    assert find_bundle_problem(payload, [PROD], WANTED)
    assert find_bundle_problem(bundle(signer(), payload), [PROD], WANTED)
    assert find_bundle_problem(to_json({"dsseEnvelope": envelope}), [PROD], WANTED)


def altered(change: Callable[[dict], None]) -> bytes:
    """Return a good bundle with one change."""
    document = json.loads(bundle(signer(), statement(DIGEST)))
    change(document)
    return to_json(document)


@pytest.mark.row("SIG-05")
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(bundle(signer("other"), statement(DIGEST)), "by another key or of other content", id="another key"),
        pytest.param(bundle(signer(), statement(OTHER)), "of another image", id="another image"),
        pytest.param(bundle(signer(), statement(f"sha256:{'0' * 64}")), "of another image", id="an image before it"),
        pytest.param(bundle(signer(), statement(DIGEST), kind="text/plain"), "with a payload of type text/plain", id="another payload type"),
        pytest.param(bundle(signer(), statement(DIGEST), kind="a" * 100), f"with a payload of type {'a' * 100}, not", id="a long type"),
        pytest.param(bundle(signer(), statement(DIGEST), kind="a" * 101), f"with a payload of type {'a' * 100}…, not", id="a longer type"),
        pytest.param(bundle(signer(), statement(DIGEST), over=statement(DIGEST)), "by another key or of other content", id="the payload alone signed"),
        pytest.param(
            bundle(signer(), statement(DIGEST, predicate="https://cosign.sigstore.dev/attestation/vuln/v1")),
            "an attestation (https://cosign.sigstore.dev/attestation/vuln/v1), not a signature",
            id="an attestation",
        ),
        pytest.param(
            bundle(signer(), statement(DIGEST, kind="https://example/Statement")), "with a payload that is not an in-toto statement", id="another statement"
        ),
        pytest.param(bundle(signer(), statement(DIGEST, name="quay.io/company/other")), "for another repository, quay.io/company/other", id="another name"),
        pytest.param(bundle(signer(), b"[1]"), "damaged", id="a list as statement"),
        pytest.param(altered(lambda one: one["dsseEnvelope"].update(payload="%")), "damaged", id="no base64"),
        pytest.param(altered(lambda one: one["dsseEnvelope"].update(payloadType=7)), "damaged", id="a number as type"),
        pytest.param(altered(lambda one: one["dsseEnvelope"].update(payloadType="application/vnd.in-toto+json ")), "by another key", id="type altered"),
        pytest.param(altered(lambda one: one["dsseEnvelope"].update(signatures=[])), "by another key or of other content", id="no signature in it"),
        pytest.param(altered(lambda one: one["dsseEnvelope"].update(signatures=[{}] * 999)), "damaged", id="a thousand signatures"),
        pytest.param(altered(lambda one: one["dsseEnvelope"].update(signatures="x")), "damaged", id="signatures no list"),
        pytest.param(
            altered(lambda one: (one.pop("dsseEnvelope"), one.update(messageSignature={"signature": "AAAA"}))), "without the DSSE envelope", id="of a file"
        ),
        pytest.param(b"", "damaged", id="empty"),
        pytest.param(b'{"dsseEnvelope": ' * 60_000, "damaged", id="nested without end"),
    ],
)
def test_bundle_with_another_claim_does_not_count(raw, reason):
    """Only a cosign signature of this image by the key counts."""
    assert find_bundle_problem(raw, [PROD], WANTED).startswith(reason)


def test_signature_among_fifteen_others_counts():
    """Signatures of other keys, in any order; more than that are not read."""
    others = [{"sig": base64.b64encode(bytes(64)).decode()}] * 15

    among = altered(lambda one: one["dsseEnvelope"]["signatures"].extend(others))
    behind = altered(lambda one: one["dsseEnvelope"].update(signatures=[*others, *one["dsseEnvelope"]["signatures"]]))
    too_many = altered(lambda one: one["dsseEnvelope"]["signatures"].extend([*others, others[0]]))

    assert [find_bundle_problem(raw, [PROD], WANTED) for raw in (among, behind, too_many)] == ["", "", "damaged"]


@pytest.mark.row("SIG-08")
@pytest.mark.parametrize(
    ("said", "signed_as", "counts"),
    [
        ("quay.io/company/app:1.2", (), True),
        (f"quay.io/company/app@{DIGEST}", (), True),
        ("", (), True),
        ("ghcr.io/company/app", (), False),
        ("ghcr.io/company/app", ("ghcr.io/company",), True),
        ("ghcr.io/company-evil/app", ("ghcr.io/company",), False),
        ("index.docker.io/company/app", ("docker.io/company",), True),
    ],
)
def test_signature_names_its_repository(said, signed_as, counts):
    """The source's, or one below `signed_as`, by whole parts; without a name only the digest counts."""
    good = simple(signer(), DIGEST, said)

    assert (find_payload_problem(good.payload, good.text, [key_of(signer(), *signed_as)], WANTED) == "") is counts


def test_signed_as_belongs_to_one_key():
    """`signed_as` is that of the key that signed."""
    good = simple(signer("other"), DIGEST, "ghcr.io/company/app")
    keys = [key_of(signer(), "ghcr.io/company"), key_of(signer("other"))]

    assert find_payload_problem(good.payload, good.text, keys, WANTED).startswith("for another repository")


@pytest.fixture(scope="module")
def sigstore() -> Sigstore:
    """Return a sigstore deployment of the tests."""
    return Sigstore()


@pytest.fixture
def release(sigstore, tmp_path) -> SigningIdentity:
    """Return the trusted identity."""
    root = tmp_path / "trusted_root.json"
    root.write_text(sigstore.trust_root)
    return SigningIdentity(IDENTITY, ISSUER, str(root), "")


def test_trusted_identity_counts(sigstore, release):
    """By the given trust root, without network."""
    assert find_identity_problem(sigstore.bundle(statement(DIGEST)), [release], WANTED) == ""


@pytest.mark.row("SIG-04")
@pytest.mark.parametrize(
    "who",
    [
        {"identity": f"{IDENTITY}-evil"},
        {"identity": IDENTITY.replace("company", "company-evil")},
        {"identity": f"https://evil.example/{IDENTITY}"},
        {"identity": IDENTITY.replace(".", "x", 1)},
        {"identity": IDENTITY.upper()},
        {"identity": f"{IDENTITY}\n"},
        {"identity": IDENTITY.removesuffix("main")},
        {"issuer": f"{ISSUER}.evil.example"},
        {"issuer": ISSUER.replace("https", "http")},
        {"issuer": f"{ISSUER}/"},
    ],
    ids=lambda who: next(iter(who.values())).replace("\n", "-newline"),
)
def test_similar_identity_does_not_count(sigstore, release, who):
    """Identity and issuer must be equal, letter by letter."""
    assert find_identity_problem(sigstore.bundle(statement(DIGEST), **who), [release], WANTED).startswith("not verified")


@pytest.mark.row("SIG-03")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda one: another_ca(one).bundle(statement(DIGEST)), "not verified", id="another CA"),
        pytest.param(lambda one: Sigstore().bundle(statement(DIGEST)), "not verified", id="another sigstore"),
        pytest.param(lambda one: one.bundle(statement(DIGEST), logged=statement(OTHER)), "not verified", id="a log entry of something else"),
        pytest.param(
            lambda one: changed(one.bundle(statement(DIGEST)), dsseEnvelope=json.loads(one.bundle(statement(DIGEST)))["dsseEnvelope"]), "not", id="swapped"
        ),
        pytest.param(lambda one: changed(one.bundle(statement(DIGEST)), verificationMaterial={}), "not verified", id="nothing that vouches"),
        pytest.param(lambda one: bundle(signer(), statement(DIGEST)), "not verified", id="signed by a key"),
        pytest.param(lambda one: one.bundle(statement(OTHER)), "of another image", id="another image"),
        pytest.param(lambda one: one.bundle(statement(DIGEST), kind="text/plain"), "with a payload of type", id="another payload type"),
        pytest.param(lambda one: one.bundle(statement(DIGEST, predicate="https://slsa.dev/provenance/v1")), "an attestation", id="an attestation"),
        pytest.param(lambda one: b"{}", "not verified", id="empty"),
        pytest.param(lambda one: b"[" * 100_000, "not verified", id="nested without end"),
        pytest.param(lambda one: b"\xff", "not verified", id="no JSON"),
    ],
)
def test_bundle_with_a_mismatched_part_does_not_count(sigstore, release, make, reason):
    """Chain, certificate log, transparency log, entry and payload must match."""
    assert find_identity_problem(make(sigstore), [release], WANTED).startswith(reason)
