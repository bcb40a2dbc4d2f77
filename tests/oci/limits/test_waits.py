"""Callers wait for each other, and each wait can be ended alone."""

from __future__ import annotations

from tests.support.patched import run_patched


def run_waits(script: str):
    """Run *script* with the waits of one limit."""
    return run_patched(
        """
        import gevent, threading
        from imgsync.oci.limits.waits import Wait, Waits
        waits, ended = Waits(), []
        def wait_for(wait, name):
            try:
                waits.run(wait)
            except ArithmeticError:
                name = f"{name}: stopped"
            ended.append(name)
        """
        + script
    )


def test_failed_check_ends_its_own_wait_alone():
    """The others continue, and end when they are ended."""
    ended = run_waits("""
        stopped = threading.Event()
        def check():
            if stopped.is_set():
                1 / 0
        first, second = Wait(lambda: None), Wait(check)
        running = [gevent.spawn(wait_for, first, "first"), gevent.spawn(wait_for, second, "second")]
        gevent.sleep(0)
        stopped.set()
        running[1].join()
        second.end()
        first.end()
        running[0].join()
        print(json.dumps(ended))
    """)

    assert ended == ["second: stopped", "first"]


def test_failed_check_ends_a_wait_before_it_begins():
    """Nothing waits that may not."""
    ended = run_waits("""
        wait_for(Wait(lambda: 1 / 0), "first")
        print(json.dumps(ended))
    """)

    assert ended == ["first: stopped"]


def test_many_waits_are_checked_by_one_thread():
    """No wait has a timer of its own."""
    started = run_waits("""
        import _thread
        started, start = [], _thread.start_new_thread
        _thread.start_new_thread = lambda *given: (started.append(given), start(*given))
        many = [Wait(lambda: None) for _ in range(50)]
        running = [gevent.spawn(wait_for, wait, "one") for wait in many]
        gevent.sleep(0)
        for wait in many:
            wait.end()
        gevent.joinall(running)
        print(json.dumps([len(started), len(ended)]))
    """)

    assert started == [1, 50]
