"""Before JAX connects the processes of a run they meet, and compare versions, config and clocks.

    first process    listens at the coordinator's address ── compares ──→ one line, to all
    each other one   connects, says what it has, gives the time when it is asked

JAX's own connection ends a process with a stack trace where another one never comes, and with
whatever goes wrong later where versions differ. So both are found out here, over a socket of our
own at the same address, which is closed before JAX takes it.
"""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax

from glide_jax import __version__
from glide_jax.errors import NotMet, UserError, a_few
from glide_jax.parallel.cluster import Place

REACH_S = 40.0
"""How long the first process may take until it can be reached, and the port until it is free."""

GATHER_S = 300.0
"""How long the first process waits for the others: machines don't start at once."""

CLOCK_S = 5.0
"""Clocks may differ by so much."""

_EVERY_S = 10.0
"""The first process says so often who is missing."""

_PAUSE_S = 0.3
_ANSWER_S = 10.0
_HELLO = "glide_jax"

MAY_DIFFER = ("data.path", "data.workers", "cpu_devices")
"""Keys of the config that are of a host: where it has mounted the data, and its cores."""


def facts_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a process compares with the others, ready for JSON."""
    flat = {f"config.{key}": value for key, value in _flat(config) if key not in MAY_DIFFER}
    return {"glide_jax": __version__, "jax": jax.__version__, **flat}


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, default=str)


def meet(place: Place, facts: Mapping[str, Any], show: Callable[[str], object]) -> None:
    """Return when all processes of a run are there and alike.

    Args:
        place: of this process.
        facts: of `facts_of`.
        show: is given a line while others are waited for.

    Raises:
        UserError: a process doesn't come in time, or they differ: the same line in all.
    """
    if place.num_processes == 1:
        return
    mine = {"id": place.process_id, "count": place.num_processes, "host": socket.gethostname()}
    mine["facts"] = dict(facts)
    verdict = _receive(place, mine, show) if place.process_id == 0 else _visit(place, mine)
    if verdict.line:
        raise (NotMet if verdict.may_pass else UserError)(verdict.line)


class _Verdict(NamedTuple):
    """What is wrong with the processes.

    Attributes:
        line: that says it; "": nothing is wrong.
        may_pass: whether the same command may succeed later.
    """

    line: str
    may_pass: bool


_ALIKE = _Verdict("", may_pass=False)


class _Peer:
    """Another process, at the other end of a connection; a line of JSON is a message."""

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self._file = connection.makefile("rwb")

    def send(self, message: Any) -> None:
        self._file.write(json.dumps(message).encode() + b"\n")
        self._file.flush()

    def receive(self, within_s: float) -> Any:
        """The next message; OSError or ValueError: there is none, or it is something else."""
        self.connection.settimeout(within_s)
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the other end has closed")
        return json.loads(line)

    def close(self) -> None:
        for part in (self._file, self.connection):
            with contextlib.suppress(OSError):
                part.close()


def _receive(place: Place, mine: Mapping[str, Any], show: Callable[[str], object]) -> _Verdict:
    """Gather the other processes, and compare them."""
    peers: dict[int, tuple[_Peer, dict[str, Any]]] = {}
    try:
        with _listening(place) as server:
            verdict = _gather(server, mine, peers, show)
        if not verdict.line:
            line = _differences(mine, {i: hello for i, (_, hello) in peers.items()})
            verdict = _Verdict(line, may_pass=False) if line else _clocks(mine, peers)
        for peer, _ in peers.values():
            with contextlib.suppress(OSError):
                peer.send({"verdict": verdict})  # a list, as JSON has it
    finally:
        for peer, _ in peers.values():
            peer.close()
    return verdict


@contextlib.contextmanager
def _listening(place: Place) -> Iterator[socket.socket]:
    port, ends = int(place.coordinator.rpartition(":")[2]), time.monotonic() + REACH_S
    dual = socket.has_dualstack_ipv6()
    kind = {"family": socket.AF_INET6, "dualstack_ipv6": True} if dual else {}
    while True:
        try:
            server = socket.create_server(("", port), backlog=1024, **kind)
            break
        except OSError as error:  # an earlier run may be about to leave it
            if time.monotonic() > ends:
                raise UserError(
                    f"the first process can't listen at port {port}: {error.strerror}; give all "
                    "processes another port in --coordinator, or end what uses it"
                ) from error
            time.sleep(_PAUSE_S)
    with server:
        yield server


def _gather(
    server: socket.socket,
    mine: Mapping[str, Any],
    peers: dict[int, tuple[_Peer, dict[str, Any]]],
    show: Callable[[str], object],
) -> _Verdict:
    """Add the others to `peers`; what is wrong with their numbers, or who doesn't come."""
    count, ends, shown = mine["count"], time.monotonic() + GATHER_S, time.monotonic()
    while len(peers) < count - 1:
        missing = [str(i) for i in range(1, count) if i not in peers]
        if time.monotonic() > ends:
            return _Verdict(
                f"{len(missing)} of {count} processes did not come within {GATHER_S:.0f} s: number "
                f"{a_few(missing)}; start all of them, each with its own --process-id",
                may_pass=True,
            )
        if time.monotonic() > shown + _EVERY_S:
            shown = time.monotonic()
            show(f"waiting for {len(missing)} of {count} processes: number {a_few(missing)}")
        server.settimeout(_PAUSE_S)
        try:
            peer = _Peer(server.accept()[0])
        except TimeoutError:
            continue
        try:
            hello = peer.receive(_ANSWER_S)
            if hello["hello"] != _HELLO:
                raise ValueError
            peer.send({"hello": _HELLO})
        except (OSError, ValueError, KeyError, TypeError):  # somebody who looks for open ports
            peer.close()
            continue
        number = hello["id"]
        if hello["count"] != count:
            wrong = f"--num-processes={hello['count']} on {hello['host']}, and {count} on "
            peers[-number] = peer, hello
            line = f"the processes differ: {wrong}{mine['host']}; give all of them the same"
            return _Verdict(line, may_pass=False)
        if number == 0 or number in peers:
            peers[-1 - number] = peer, hello
            other = mine["host"] if number == 0 else peers[number][1]["host"]
            return _Verdict(
                f"two processes have --process-id={number}, on {other} and on {hello['host']}: "
                "give each its own",
                may_pass=False,
            )
        peers[number] = peer, hello
    return _ALIKE


def _differences(mine: Mapping[str, Any], others: Mapping[int, Mapping[str, Any]]) -> str:
    """Who differs from the first process, and in what."""
    lines = []
    for number in sorted(others):
        theirs, ours = others[number]["facts"], mine["facts"]
        keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        if keys:
            shown = [f"{k} {theirs.get(k, 'absent')}, not {ours.get(k, 'absent')}" for k in keys]
            lines.append(f"process {number} on {others[number]['host']} has {a_few(shown, '; ')}")
    if not lines:
        return ""
    return (
        f"the processes differ from the first one, on {mine['host']}: {a_few(lines, ' | ')}; start "
        "all of them with the same versions and the same command"
    )


def _clocks(
    mine: Mapping[str, Any], peers: Mapping[int, tuple[_Peer, Mapping[str, Any]]]
) -> _Verdict:
    """Whose clock differs from the first process's, or who has left."""
    wrong = []
    for number, (peer, hello) in sorted(peers.items()):
        who = f"process {number} on {hello['host']}"
        try:
            asked = time.time()
            peer.send({"time": True})
            theirs = peer.receive(_ANSWER_S)["time"]
        except (OSError, ValueError, KeyError, TypeError):
            line = f"{who} has left before the run began; its own error says why"
            return _Verdict(line, may_pass=True)
        # It answers in the middle between question and answer, but for half of their difference.
        ahead, unsure = theirs - (asked + time.time()) / 2, (time.time() - asked) / 2
        if abs(ahead) > CLOCK_S + unsure:
            direction = "ahead" if ahead > 0 else "behind"
            wrong.append(f"that of {who} is {abs(ahead):.0f} s {direction}")
    if not wrong:
        return _ALIKE
    return _Verdict(
        f"the clocks differ by more than {CLOCK_S:g} s from the first process's, on "
        f"{mine['host']}: {a_few(wrong)}; set them, as by chrony or timedatectl set-ntp true",
        may_pass=False,
    )


def _visit(place: Place, mine: Mapping[str, Any]) -> _Verdict:
    """Go to the first process, for its verdict."""
    peer = _reach(place, mine)
    try:
        ends = time.monotonic() + GATHER_S + REACH_S
        while True:
            message = peer.receive(max(ends - time.monotonic(), 0.1))
            if "verdict" in message:
                return _Verdict(*message["verdict"])
            peer.send({"time": time.time()})
    except (OSError, ValueError, TypeError) as error:
        raise NotMet(
            f"the first process, at {place.coordinator}, has left before the run began; its own "
            "error says why"
        ) from error
    finally:
        peer.close()


def _reach(place: Place, mine: Mapping[str, Any]) -> _Peer:
    """Connect to the first process, once it is there."""
    host, _, port = place.coordinator.rpartition(":")
    ends = time.monotonic() + REACH_S
    while True:
        try:
            left = max(ends - time.monotonic(), 1.0)
            peer = _Peer(
                socket.create_connection((host.strip("[]"), int(port)), min(left, _ANSWER_S))
            )
            try:
                peer.send({"hello": _HELLO, **mine})
                if peer.receive(min(left, _ANSWER_S)) == {"hello": _HELLO}:
                    return peer
                raise ValueError("it is something else")
            except BaseException:
                peer.close()
                raise
        except (OSError, ValueError) as error:
            if time.monotonic() > ends:
                reason = getattr(error, "strerror", None) or str(error) or "no answer"
                raise NotMet(
                    f"process {place.process_id} can't reach the first one at {place.coordinator} "
                    f"within {REACH_S:.0f} s: {reason}; is it running, with --process-id=0 and the "
                    "same --coordinator, and is the port open?"
                ) from error
            time.sleep(_PAUSE_S)
