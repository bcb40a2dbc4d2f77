"""Waits that are checked end when they should."""

from __future__ import annotations

from tests.support.patched import run_patched


def test_all_waits_end_though_the_event_is_set_as_their_ticks_end():
    """Of two that look at the same moment, none is forgotten."""
    ended = run_patched("""
        import gevent, gevent.monkey, threading
        from imgsync.oci.http.wait_limit import TICK_SECONDS, await_event
        event, ended = threading.Event(), []
        def wait(name):
            await_event(event, event.set)
            ended.append(name)
        waiting = [gevent.spawn(wait, name) for name in ("first", "second")]
        gevent.sleep(0)
        # Nothing else runs meanwhile, so both ticks end at once; the check of the first sets the event.
        gevent.monkey.get_original("time", "sleep")(2 * TICK_SECONDS)
        gevent.joinall(waiting, timeout=5)
        print(json.dumps(ended))
    """)

    assert sorted(ended) == ["first", "second"]
