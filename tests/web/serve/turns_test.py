"""Turns: nobody waits for more than a share, batches are shared where they may be."""

from collections import Counter

import pytest

from glide_jax.web.serve.jobs import CANCELLED, Job, JobImage
from glide_jax.web.serve.turns import Turns


def job(client, count=1, key="a"):
    made = Job(client, key, 0, None, [JobImage() for _ in range(count)], (), 8)
    return made


def turns(*jobs):
    made = Turns(lambda job: job.task)
    for one in jobs:
        made.add(one)
    return made


def clients(batch):
    return [turn.job.client for turn in batch]


def run(made, size, seconds=1.0):
    """Batches until nothing waits, each charged evenly."""
    found = []
    while batch := made.next_batch(size):
        found.append(batch)
        for turn in batch:
            made.charge(turn.job.client, seconds / len(batch))
    return found


def test_every_image_is_sampled_once():
    jobs = [job("ada", 5), job("ben", 3, "b"), job("ada", 2, "b"), job("cyd", 1)]
    found = [turn for batch in run(turns(*jobs), 4) for turn in batch]
    assert Counter((id(t.job), t.place) for t in found) == Counter(
        (id(one), place) for one in jobs for place in range(len(one.images))
    )


def test_a_batch_is_shared_by_clients_but_not_by_settings():
    batch = turns(job("ada", 9), job("ben", 1, "b"), job("cyd", 2)).next_batch(4)
    assert clients(batch) == ["ada", "cyd", "ada", "cyd"]


def test_who_asks_for_one_image_waits_for_one_batch_only():
    made = turns(job("ada", 100))
    first = made.next_batch(4)
    made.add(job("ben", 1, "b"))
    for turn in first:
        made.charge(turn.job.client, 0.25)
    assert clients(made.next_batch(4)) == ["ben"]


@pytest.mark.parametrize("keys", ["aaaa", "abcd"], ids=["shared", "alone"])
def test_twenty_clients_get_equal_shares(keys):
    names = [f"client {i}" for i in range(20)]
    jobs = [job(name, 8, keys[i % 4]) for i, name in enumerate(names)]
    made, counts = turns(*jobs), Counter()
    for batch in run(made, 4):
        counts.update(clients(batch))
        shares = [counts[name] for name in names]
        assert max(shares) - min(shares) <= 4
    assert counts == Counter(dict.fromkeys(names, 8))


def test_a_client_that_asks_again_and_again_has_no_more_than_its_share():
    made = turns(job("ada", 50, "a"))
    order = []
    for _ in range(20):
        made.add(job("ben", 1, "b"))
        batch = made.next_batch(1)
        order += clients(batch)
        made.charge(order[-1], 1)
    assert abs(order.count("ada") - order.count("ben")) <= 1


def test_what_is_cancelled_is_not_sampled():
    gone, kept = job("ada", 3), job("ben", 1)
    made = turns(gone, kept)
    gone.end(CANCELLED)
    assert clients(made.next_batch(4)) == ["ben"]
    assert made.next_batch(4) == []


def test_what_comes_first_is_counted():
    own, other, last = job("ada", 3), job("ben", 10), job("ada", 1)
    made = turns(own, other, last)
    assert made.ahead_of(own) == 1  # ben's share
    assert made.ahead_of(last) == 3 + 4
    assert made.ahead_of(other) == 1
