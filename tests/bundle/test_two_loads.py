"""Two loads at the same time leave the right tags."""

from __future__ import annotations

import pytest

from tests.support.carried import Carried, carry
from tests.support.images import image, layer
from tests.support.run_imgsync import finish
from tests.switches import Hold


class Chain:
    """Two bundles of one chain: the second moves a tag, and brings another one."""

    def __init__(self, lab) -> None:
        self.lab = lab
        base = layer(("base", lab.name))
        self.old, self.new, self.more = (image((lab.name, name), layers=1, shared=base) for name in ("old", "new", "more"))
        first = carry(lab.folder / "one", self._item("app", self.old), self._item("kept", self.more))
        carry(lab.folder / "two", self._item("app", self.new), self._item("more", self.more), parent=first.id)
        lab.workplace.allow_plain_http(lab.destination)

    def _item(self, name, content):
        return Carried(content, f"s.example/team/{name}:1", f"{self.lab.destination.host}/m/{self.lab.name}/{name}:1")

    def start(self, bundle, *options, state=".imgsync/state"):
        """Begin to load *bundle*."""
        return self.lab.start("bundle", "load", bundle, *options, env={"IMGSYNC_STATE": state})

    def assert_all_served(self):
        """Assert that each tag is that of the newest bundle, whole."""
        for name, content in (("app", self.new), ("kept", self.more), ("more", self.more)):
            self.lab.assert_served(name, "1", content)


@pytest.fixture
def chain(lab):
    """Write the bundles."""
    return Chain(lab)


def test_second_load_is_refused_while_one_runs(chain):
    """By the lock of the state, before it asks anything; it is run again afterwards."""
    held = chain.lab.destination.add(Hold(), method="PUT", target="/manifests/", nth=1)
    first = chain.start("one")
    held.reached()

    second = finish(chain.start("two"), timeout=60)

    assert second.code == 75
    assert "locked by another run" in second.stderr
    held.release()
    assert finish(first, timeout=60).code == 0
    chain.lab.assert_served("app", "1", chain.old)
    assert finish(chain.start("two"), timeout=60).code == 0
    chain.assert_all_served()


@pytest.mark.parametrize(("bundles", "code"), [(("one", "two"), 0), (("two", "one"), 1)], ids=["in order", "late"])
def test_second_load_waits_for_the_first(chain, bundles, code):
    """With `--lock-timeout`: it sees what the first one did, so a late bundle moves no tag back."""
    held = chain.lab.destination.add(Hold(), method="PUT", target="/manifests/", nth=1)
    first = chain.start(bundles[0])
    held.reached()
    second = chain.start(bundles[1], "--lock-timeout", "60s")
    held.release()

    assert finish(first, timeout=60).code == 0
    assert finish(second, timeout=60).code == code
    chain.assert_all_served()


def test_two_states_load_into_one_registry(chain):
    """Neither knows of the other: each tag serves one of the images whole, and the newest bundle is loaded again."""
    held = chain.lab.destination.add(Hold(), method="PUT", target="/manifests/", nth=1)
    first = chain.start("one", state="a")
    held.reached()
    second = finish(chain.start("two", state="b"), timeout=60)
    held.release()

    assert second.code == 0, second.stderr
    assert finish(first, timeout=60).code == 0
    served = chain.lab.served_digest("app", "1")
    chain.lab.assert_served("app", "1", chain.old if served == chain.old.digest else chain.new)
    for state in ("a", "b"):
        again = finish(chain.start("two", "--refresh", state=state), timeout=60)
        assert again.code == 0, again.stderr
        chain.assert_all_served()
