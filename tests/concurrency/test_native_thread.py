"""Blocking calls in native threads."""

from __future__ import annotations

from tests.support.patched import run_patched


def test_calls_of_one_thread_keep_their_order():
    """A call that comes when the thread is free does not overtake those that wait."""
    told = run_patched("""
        import random, time, gevent
        from gevent.monkey import get_original
        from imgsync.concurrency.native_thread import NativeThread
        block = get_original("time", "sleep")
        thread, came, ran = NativeThread(), [], []
        def call(several):
            for _ in range(several):
                number = len(came)
                came.append(number)
                thread.run(lambda: (block(random.random() * 0.002), ran.append(number)))
                gevent.sleep(random.random() * 0.003)
        gevent.joinall([gevent.spawn(call, 20) for _ in range(10)])
        thread.close()
        print(json.dumps([came, ran]))
    """)

    assert told[0] == told[1] == list(range(200))


def test_failed_call_lets_the_next_ones_run():
    """Its error is raised where it was called."""
    told = run_patched("""
        import gevent
        from imgsync.concurrency.native_thread import NativeThread
        thread, found = NativeThread(), []
        def call(number):
            try:
                found.append(thread.run(lambda: 1 // number))
            except ZeroDivisionError:
                found.append("error")
        gevent.joinall([gevent.spawn(call, number) for number in (1, 0, 1)])
        thread.close()
        print(json.dumps(found))
    """)

    assert told == [1, "error", 1]
