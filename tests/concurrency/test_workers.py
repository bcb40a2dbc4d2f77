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


def test_large_items_are_bounded_by_weight():
    """Four run at once, and more while they weigh no more than allowed together; small ones do not wait for them."""
    told = run_patched("""
        import gevent
        from imgsync.concurrency.workers import Workers
        running, most = {}, {}
        def work(item):
            kind = item[0]
            running[kind] = running.get(kind, 0) + 1
            most[kind] = max(most.get(kind, 0), running[kind])
            gevent.sleep(0.01)
            running[kind] -= 1
        workers = Workers(work, limit=20, max_weight=100)
        for kind, weight in (("huge", 90), ("medium", 10), ("small", 0)):
            for number in range(40):
                workers.submit((kind, number), queue=kind, weight=weight)
        for number in range(40):
            workers.submit(("mixed huge", number), queue="mixed", weight=90)
            workers.submit(("mixed small", number), queue="mixed")
        for number in range(40):
            workers.submit(("few", number), queue="few", limit=3, weight=1)
        list(workers.results())
        print(json.dumps(most))
    """)

    assert told == {"huge": 4, "medium": 10, "small": 20, "mixed huge": 4, "mixed small": 16, "few": 3}


def test_join_waits_for_steps_that_steps_submit():
    """Also for those that the caller's own step submits; the first error is raised once all ended."""
    told = run_patched("""
        import gevent
        from imgsync.concurrency.workers import Workers
        done = []
        def work(left):
            gevent.sleep(0.01)
            if left == "bad":
                raise ValueError("bad")
            if left:
                workers.submit(left - 1)
            done.append(left)
        workers = Workers(work, limit=2)
        workers.submit(3)
        workers.run(2)
        workers.join()
        joined = sorted(done)
        for item in (1, "bad"):
            workers.submit(item)
        try:
            workers.join()
        except ValueError as error:
            raised = str(error)
        print(json.dumps({"joined": joined, "raised": raised, "done": len(done)}))
    """)

    assert told["joined"] == [0, 0, 1, 1, 2, 2, 3]
    assert told["raised"] == "bad"
    assert told["done"] >= 8


def test_results_that_come_while_others_are_read_are_kept():
    """Each is yielded once, however long its consumer takes."""
    told = run_patched("""
        import gevent
        from imgsync.concurrency.workers import Workers
        workers = Workers(lambda number: gevent.sleep(0.001 * (number % 5)) or number, limit=7)
        for number in range(50):
            workers.submit(number)
        found = []
        for batch in workers.batches():
            found += batch
            gevent.sleep(0.002)
        print(json.dumps(sorted(found)))
    """)

    assert told == list(range(50))
