"""Before JAX connects them processes meet: one line says who doesn't come, or who differs."""

import socket
import threading
import time

import pytest

from glide_jax.errors import NotMet, UserError
from glide_jax.parallel import meeting
from glide_jax.parallel.cluster import Place
from glide_jax.parallel.meeting import facts_of, meet

CONFIG = {"seed": 0, "data": {"path": "/a"}, "stages": {"base": {"training": {"fsdp": 4}}}}


@pytest.fixture
def address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(meeting, "_PAUSE_S", 0.02)
    monkeypatch.setattr(meeting, "_ANSWER_S", 2.0)
    monkeypatch.setattr(meeting, "REACH_S", 5.0)
    monkeypatch.setattr(meeting, "GATHER_S", 5.0)


def all_meet(address, *facts, numbers=None, counts=None):
    """What each process, a thread here, is given: "" or its error."""
    numbers, counts = numbers or range(len(facts)), counts or [len(facts)] * len(facts)
    ends = {}

    def one(k, number):
        try:
            meet(Place(address, counts[k], number, None), facts[k], lambda line: None)
            ends[k] = ""
        except UserError as error:
            ends[k] = str(error)

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(numbers)]
    for thread in reversed(threads):  # the first process comes last
        thread.start()
    for thread in threads:
        thread.join()
    return [ends[k] for k in range(len(facts))]


def test_processes_that_are_alike_go_on(address):
    facts = facts_of(CONFIG)
    elsewhere = facts_of(CONFIG | {"data": {"path": "/another/mount"}})
    assert all_meet(address, facts, facts, elsewhere) == [""] * 3
    assert all_meet(address, facts, facts) == [""] * 2, "the address is free again"


def test_who_differs_and_in_what_is_said_in_all(address):
    facts, config = facts_of(CONFIG), CONFIG | {"stages": {"base": {"training": {"fsdp": 2}}}}
    lines = all_meet(address, facts, facts, facts_of(config) | {"jax": "0.1"})
    assert len(set(lines)) == 1
    host = socket.gethostname()
    assert f"process 2 on {host} has jax 0.1, not {facts['jax']}; " in lines[0]
    assert "config.stages.base.training.fsdp 2, not 4" in lines[0]
    assert "process 1" not in lines[0]


def test_a_clock_that_differs_is_said(address, monkeypatch):
    now, late = time.time, threading.local()
    monkeypatch.setattr(meeting.time, "time", lambda: now() + getattr(late, "by", 0))
    real = meeting._visit

    def visit(*arguments):
        late.by = -60
        return real(*arguments)

    monkeypatch.setattr(meeting, "_visit", visit)
    lines = all_meet(address, {}, {})
    assert lines[0] == lines[1]
    assert f"that of process 1 on {socket.gethostname()} is 60 s behind" in lines[0]


def test_numbers_that_contradict_each_other_are_said(address):
    lines = all_meet(address, {}, {}, {}, numbers=(0, 1, 1))
    assert "two processes have --process-id=1" in lines[0]
    lines = all_meet(address, {}, {}, counts=(2, 3))
    assert "--num-processes=3 on" in lines[0]
    assert lines[1] == lines[0]


def test_a_first_process_that_never_comes_is_one_line(address, monkeypatch):
    monkeypatch.setattr(meeting, "REACH_S", 0.2)
    with pytest.raises(NotMet, match=f"can't reach the first one at {address} within 0 s"):
        meet(Place(address, 2, 1, None), {}, lambda line: None)


def test_others_that_never_come_are_named(address, monkeypatch):
    monkeypatch.setattr(meeting, "GATHER_S", 0.4)
    monkeypatch.setattr(meeting, "_EVERY_S", 0.1)
    shown = []
    with pytest.raises(NotMet, match=r"2 of 3 processes did not come .* number 1, 2; start all"):
        meet(Place(address, 3, 0, None), {}, shown.append)
    assert shown[0] == "waiting for 2 of 3 processes: number 1, 2"


def test_somebody_who_only_knocks_is_not_taken_for_a_process(address):
    host, port = address.split(":")
    stop = threading.Event()

    def knock():
        while not stop.wait(0.05):
            try:
                with socket.create_connection((host, int(port)), 1) as connection:
                    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            except OSError:
                pass

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        assert all_meet(address, {}, {}) == ["", ""]
    finally:
        stop.set()
        thread.join()


def test_a_port_that_is_taken_is_one_line(monkeypatch):
    monkeypatch.setattr(meeting, "REACH_S", 0.1)
    with socket.create_server(("", 0)) as server:
        place = Place(f"127.0.0.1:{server.getsockname()[1]}", 2, 0, None)
        with pytest.raises(UserError, match="can't listen at port"):
            meet(place, {}, lambda line: None)


def test_facts_name_every_key_that_must_agree():
    assert facts_of(CONFIG).keys() == {
        "glide_jax",
        "jax",
        "config.seed",
        "config.stages.base.training.fsdp",
    }
