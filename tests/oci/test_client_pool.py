"""Connections are opened before they are needed, and no more than needed."""

from __future__ import annotations

import textwrap

import pytest

from tests.support.images import image
from tests.support.patched import run_patched
from tests.switches import Distance

# A pool of clients that connect when `gate` opens.
POOL = """
    import gevent, gevent.event
    from imgsync.oci.http._httpx import httpx
    from imgsync.oci.capabilities import Capabilities
    from imgsync.oci.client_pool import ClientPool

    class Client:
        "Connects when `gate` opens; `fails` says how."
        gate, fails, made = gevent.event.Event(), False, []

        def __init__(self):
            self.is_connected = self.is_closed = False
            Client.made.append(self)

        def connect(self, origin, timeout_seconds):
            Client.gate.wait()
            if Client.fails:
                raise httpx.ConnectError("refused")
            self.is_connected = True

        def close(self):
            self.is_closed = True

    known = Capabilities()
    known.learn_round_trip(FAR)
    pool = ClientPool(("https", "r.example", 443), Client, known)

    def use(check=lambda: None, hold=None, seen=None):
        with pool.borrow(check) as client:
            if seen is not None:
                seen.append(client)
            if hold is not None:
                hold.wait()

    def settle():
        for _ in range(20):
            gevent.sleep(0)
"""


def run_pool(script: str, *, far: bool = True) -> object:
    """Run *script* with a pool for a registry that is far away or near."""
    return run_patched(textwrap.dedent(POOL).replace("FAR", "0.1" if far else "0.001") + textwrap.dedent(script))


def test_returned_client_goes_to_the_first_who_waits():
    """Who waits for a new connection takes one that is free before."""
    seen = run_pool("""
        Client.gate.set()
        use()
        Client.gate.clear()
        hold, seen = gevent.event.Event(), []
        gevent.spawn(use, hold=hold, seen=seen)
        settle()
        users = [gevent.spawn(use, seen=seen) for _ in range(2)]
        settle()
        before = len(seen)
        hold.set()
        gevent.joinall(users)
        print(json.dumps([before, len(seen), len(set(map(id, seen)))]))
    """)

    assert seen == [1, 3, 1]


def test_connections_that_are_opened_are_waited_for():
    """Requests that come while connections are opened ahead open no others."""
    for far in (True, False):
        made = run_pool(
            """
            Client.gate.set()
            use()
            Client.gate.clear()
            pool.open_ahead(4)
            users = [gevent.spawn(use) for _ in range(4)]
            settle()
            Client.gate.set()
            gevent.joinall(users)
            print(json.dumps([len(Client.made), pool.idle_count]))
            """,
            far=far,
        )
        assert made == [4, 4]


def test_near_registry_gets_its_connection_from_the_request():
    """Nothing is connected beside the request, which reports the error."""
    made = run_pool(
        """
        hold = gevent.event.Event()
        users = [gevent.spawn(use, hold=hold) for _ in range(3)]
        settle()
        hold.set()
        gevent.joinall(users)
        print(json.dumps([len(Client.made), any(one.is_connected for one in Client.made)]))
        """,
        far=False,
    )

    assert made == [3, False]


@pytest.mark.row("NET-16")
def test_failed_connection_releases_who_waits():
    """Each caller then connects itself, and reports the error; nobody waits for ever."""
    made = run_pool("""
        Client.gate.set()
        use()
        with pool.borrow(lambda: None):
            Client.gate.clear()
            seen = []
            users = [gevent.spawn(use, seen=seen) for _ in range(3)]
            settle()
            Client.fails = True
            Client.gate.set()
            gevent.joinall(users, timeout=30)
        print(json.dumps([len(seen), any(one.is_connected for one in seen), sum(one.is_closed for one in Client.made)]))
    """)

    assert made == [3, False, 3]


def test_wait_for_a_connection_ends_when_it_is_told_to():
    """What ends the run ends the wait; the connection is kept for others."""
    ended = run_pool("""
        Client.gate.set()
        use()
        class Stopped(Exception): pass
        def stop():
            raise Stopped
        with pool.borrow(lambda: None):
            Client.gate.clear()
            try:
                use(check=stop)
            except Stopped:
                ended = True
        Client.gate.set()
        settle()
        print(json.dumps([ended, pool.idle_count]))
    """)

    assert ended == [True, 2]


def test_token_requests_wait_for_no_connection_to_the_registry():
    """Without a check, a client is given at once."""
    made = run_pool("""
        Client.gate.set()
        use()
        with pool.borrow(lambda: None):
            Client.gate.clear()
            with pool.borrow() as client:
                print(json.dumps(client.is_connected))
    """)

    assert made is False


def test_connections_that_come_after_the_end_are_closed():
    """A pool that is closed keeps none."""
    left = run_pool("""
        pool.open_ahead(2)
        settle()
        pool.close()
        Client.gate.set()
        settle()
        print(json.dumps([pool.idle_count, all(one.is_closed for one in Client.made), len(Client.made)]))
    """)

    assert left == [0, True, 2]


@pytest.mark.row("RUN-01")
def test_far_registries_get_no_more_connections_than_allowed(lab, secure, authority):
    """Over TLS, at most `connections` are open, however many requests wait."""
    for number in range(6):
        lab.push("app", str(number), image((lab.name, number), layers=3))
    source, destination = secure(lab.source_registry), secure(lab.destination_registry)
    for one in (source, destination):
        one.add(Distance(0.05))
    authority.cert_pem.write_to_path(str(lab.folder / "ca.pem"))
    entries = "".join(f"  {one}: {{tls: {{ca: ca.pem}}, connections: 5}}\n" for one in (source, destination))
    lab.write("registries.yaml", f"version: 1\nregistries:\n{entries}")
    lab.workplace.mirror("a", source=f"{source}/{lab.name}/app", destinations=[f"{destination}/m"], concurrency={"images": 6, "blobs": 4, "queries": 6})

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == 6
    assert source.most_open <= 5
    assert destination.most_open <= 5
