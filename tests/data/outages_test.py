"""Shards that can't be read now: left alone, tried again, counted and said."""

import itertools

import pytest

from glide_jax.data.outages import FIRST_PAUSE_S, LONGEST_PAUSE_S, Outages

A, B, OTHER = "http://s/a.tar", "http://s/b.tar", "http://t/c.tar"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def outages(clock):
    return Outages(3, clock)


def test_a_shard_that_failed_is_left_alone_longer_each_time(outages, clock):
    pauses = []
    for _ in range(8):
        assert not outages.is_left_alone(A)
        outages.failed(A, "no answer")
        begun = clock.now
        while outages.is_left_alone(A):
            clock.now += 1
        pauses.append(clock.now - begun)
    assert pauses[0] == FIRST_PAUSE_S
    assert all(b >= a for a, b in itertools.pairwise(pauses))
    assert pauses[-1] == LONGEST_PAUSE_S
    assert not outages.is_left_alone(B)


def test_of_a_server_that_fails_no_shard_has_retries(outages):
    assert outages.has_retries(A)
    outages.failed(A, "no answer")
    assert not outages.has_retries(B)
    assert outages.has_retries(OTHER)
    outages.worked(A)
    assert outages.has_retries(B)


def test_its_beginning_and_end_are_said_once(outages, clock, caplog):
    outages.failed(A, "cannot read image 3 of a.tar: refused")
    assert outages.is_left_alone(A)
    clock.now = 90
    outages.failed(A, "cannot read image 4 of a.tar: refused")
    outages.failed(OTHER, "cannot read image 9 of c.tar: refused")
    clock.now = 200
    outages.worked(A)
    outages.worked(A)
    assert [record.getMessage() for record in caplog.records] == [
        "cannot read image 3 of a.tar: refused; images of other shards replace its own until it "
        "can be read again; 1 of 3 shards can't be read",
        "cannot read image 9 of c.tar: refused; images of other shards replace its own until it "
        "can be read again; 2 of 3 shards can't be read",
        "the shard http://s/a.tar can be read again after 200 s, in which 3 images were replaced; "
        "1 of 3 shards can't be read",
    ]
