"""Twenty clients at once and a thousand requests: nothing is lost, nothing piles up."""

import gc
import threading
import tracemalloc

import pytest
from web.serve.serving_toys import Instant, events, page

from glide_jax.web.serve.jobs import Jobs


def test_twenty_clients_at_once_lose_nothing_and_get_their_own():
    done, wrong = {}, []
    with page(Instant.tiny(), batch_size=4) as (served, _):

        def ask(i):
            reply = served.submit(f"client-{i}", seed=i, num_images=5)
            stream = served.get(f"/api/events?jobs={reply.json['id']}")
            last = events(stream.body)[-1]
            done[i] = last["state"]
            for place, image in enumerate(last["images"]):
                pixels = served.pixels(image["id"])
                if (pixels[0, 0] != [place, i, i]).any() or image["provenance"]["seed"] != i:
                    wrong.append((i, place))

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert done == dict.fromkeys(range(20), "done")
    assert wrong == []


@pytest.mark.slow
def test_memory_does_not_grow_with_requests():
    with page(Instant.tiny(), batch_size=4) as (served, worker):
        worker.images._max_bytes = 100_000

        def run(count):
            for i in range(count):
                served.sampled(f"client-{i % 7}", seed=i)
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            before = run(300)  # as many as are kept, and more
            after = run(300)
        finally:
            tracemalloc.stop()
        assert worker.images.num_bytes <= 100_000
        assert after - before < 600_000


def test_jobs_that_have_ended_are_forgotten(monkeypatch):
    with page(Instant.tiny(), batch_size=4) as (served, worker):
        monkeypatch.setattr("glide_jax.web.serve.jobs._KEPT_JOBS", 5)
        ids = [served.sampled(seed=i)["id"] for i in range(12)]
        statuses = [served.get(f"/api/jobs/{job_id}").status for job_id in ids]
        assert statuses == [404] * 7 + [200] * 5
        assert isinstance(worker._jobs, Jobs)
