"""Only what the operator's keys vouch for is copied: the digest that is tagged, verified by that digest, in the plan and again before the copy."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.images import Image, image, index, pull_raw, push
from tests.registry.test_saved_plan import sealed
from tests.signing import Signature, Signer, payload_of, sig_tag, signature_image, signer, simple

SIGNED = "require: {signatures: {keys: [prod]}}"


def trusting(**keys: Signer) -> str:
    """The part of registries.yaml that names the public *keys*."""
    return f"keys: {json.dumps({name: {'pem': one.pem} for name, one in keys.items()})}\n"


@pytest.fixture
def signed(registry, name, source) -> Callable[..., Image]:
    """Push an image and signatures of it, by default a good one, to the repository under test; return it."""

    def push_signed(content: Image, *signatures: Signature, tag: str = "1") -> Image:
        push(registry, f"{name}/app", tag, content)
        good = simple(signer(), content.digest, f"{source.host}/{name}/app")
        push(registry, f"{name}/app", sig_tag(content.digest), signature_image(*(signatures or [good])))
        return content

    return push_signed


def test_smoke(signed, declare, name, imgsync, second_registry, source):
    content = signed(image(name))
    declare(f"[{name}/app]", SIGNED, trust=trusting(prod=signer()))
    result = imgsync("apply", "-o", "json")
    print(result.stdout, result.stderr)
    assert result.code == 0
    assert pull_raw(second_registry, f"m/{name}/app", "1") == content.raw
    print([one.target for one in source.seen])
    result = imgsync("plan", "-o", "json", "--all")
    assert result.json["summary"]["keep"] == 1


def test_smoke2(signed, declare, name, imgsync, second_registry, source):
    content = image(name)
    signed(content, simple(signer("other"), content.digest, f"{source.host}/{name}/app"))
    declare(f"[{name}/app]", SIGNED, trust=trusting(prod=signer()))
    result = imgsync("apply", "-o", "json")
    print(result.stdout, result.stderr)
    assert result.code == 1
