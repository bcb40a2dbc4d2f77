"""The worker pool."""

from __future__ import annotations

import pytest

from tests.support.patched import run_patched


@pytest.mark.row("RUN-03")
def test_cost_per_item_is_constant():
    """There are as many greenlets as places, and the last items are as fast as the first."""
    told = run_patched("""
        import gc, time
        import gevent
        from greenlet import greenlet
        from imgsync.concurrency.workers import Workers
        most = running = 0
        def work(number):
            global most, running
            running += 1
            most = max(most, running)
            gevent.sleep(0)
            running -= 1
            return time.process_time()
        workers = Workers(work, limit=50)
        began = time.process_time()
        for number in range(10_000):
            workers.submit(number)
        alive = sum(isinstance(one, greenlet) and not one.dead for one in gc.get_objects())
        done = [began, *workers.results()]
        print(json.dumps({"most": most, "alive": alive, "first": done[2000] - done[0], "last": done[10_000] - done[8_000], "done": len(done) - 1}))
    """)

    assert (told["done"], told["most"]) == (10_000, 50)
    assert told["alive"] < 60
    assert told["last"] < 3 * told["first"] + 0.2


def test_limit_may_grow_meanwhile():
    """Once the limit is higher, the next results make room for more."""
    told = run_patched("""
        import gevent
        from imgsync.concurrency.workers import map_unordered
        running, limit, seen = 0, 2, []
        def work(number):
            global running, limit
            running += 1
            limit = 6 if number >= 10 else 2
            gevent.sleep(0)
            seen.append(running)
            running -= 1
        results = list(map_unordered(work, range(40), limit=lambda: limit))
        print(json.dumps([len(results), max(seen[:8]), max(seen)]))
    """)

    assert told == [40, 2, 6]
