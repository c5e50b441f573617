"""What a compiled program sends over the links between devices, read from its HLO."""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

KINDS: tuple[str, ...] = (
    "all-gather",
    "reduce-scatter",
    "all-reduce",
    "all-to-all",
    "collective-permute",
)
"""The collectives by XLA's names, in the order in which they are listed."""

_BITS = {"pred": 8, "bf16": 16, "token": 0, "c64": 64, "c128": 128}
_ARRAY = re.compile(r"([a-z]\w*)\[([\d,]*)\]")
_HEADER = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_OPERATION = re.compile(r" ([a-z][a-z0-9\-]*)\(")
# A TPU's compiler writes a reduce-scatter as a fusion of an all-reduce and a slice.
_SCATTERED = "all-reduce-scatter"


@dataclasses.dataclass(frozen=True)
class Collectives:
    """What the collectives of a program send.

    Attributes:
        sent: kind → bytes that leave each device in a run of the program, by an algorithm that
            sends no more than it must (a ring).
        unread_loops: loops with collectives whose number of iterations the program doesn't say;
            they are counted as one each.
    """

    sent: Mapping[str, float]
    unread_loops: int = 0

    @property
    def total(self) -> float:
        """Bytes that leave each device, of all kinds together."""
        return sum(self.sent.values())


def collectives_of(hlo: str) -> Collectives:
    """Add up the collectives of a compiled program, those of a loop as often as it is run.

    Of n devices that take part, with an array of S bytes of which each has, or gets, S/n: an
    all-gather and a reduce-scatter send S (n - 1) / n from each device, an all-reduce
    2 S (n - 1) / n, an all-to-all S (n - 1) / n of the S bytes that each has, a permutation S
    (Thakur, Rabenseifner and Gropp 2005, sec. 4).

    Args:
        hlo: `compiled.as_text()` of a program that is partitioned over devices.
    """
    program = _Program(hlo)
    sent = program.sent(program.entry, Counter())
    return Collectives({k: v for k, v in sent.items() if v}, program.unread_loops)


@dataclasses.dataclass(frozen=True)
class _Instruction:
    """One line of a computation: its operation, the type of its result, and the whole line."""

    operation: str
    result: str
    line: str


class _Program:
    """An HLO module: computations by name, each a list of instructions.

    Args:
        hlo: its text.
    """

    def __init__(self, hlo: str):
        self.computations: dict[str, list[_Instruction]] = {}
        self.entry, self.unread_loops = "", 0
        instructions: list[_Instruction] = []
        self._partitions = int(next(iter(re.findall(r"num_partitions=(\d+)", hlo)), 1))
        for line in hlo.splitlines():
            if header := _HEADER.match(line):
                instructions = self.computations.setdefault(header[2], [])
                self.entry = header[2] if header[1] else self.entry
            elif " = " in line and self.computations:
                text = line.partition(" = ")[2]
                if operation := _OPERATION.search(" " + text):
                    start = operation.start()
                    instructions.append(_Instruction(operation[1], text[:start], line))

    def sent(self, name: str, seen: Counter[tuple[str, ...]]) -> dict[str, float]:
        """Bytes of a computation by kind.

        Args:
            name: of the computation.
            seen: (kind, channel, arrays) → how many collectives were counted so far in the same run
                of it. A TPU's compiler splits one over several fusions, each of which has a copy of
                it; those that are in one computation are different ones, which may share a channel
                and be of arrays of the same shapes.
        """
        total, here = dict.fromkeys(KINDS, 0.0), Counter[tuple[str, ...]]()
        for instruction in self.computations.get(name, []):
            kind = instruction.operation.removesuffix("-start")
            if kind in KINDS and not instruction.operation.endswith("-done"):
                if kind == "all-reduce" and name.startswith(_SCATTERED):
                    kind = "reduce-scatter"
                channel = re.search(r"channel_id=(\d+)", instruction.line)
                arrays = str(_ARRAY.findall(instruction.result))
                key = (kind, channel[1] if channel else "", arrays)
                here[key] += 1
                if channel is None or here[key] > seen[key]:
                    total[kind] += self._bytes(kind, instruction)
                    seen[key] += 1
            elif instruction.operation == "while":
                _add(total, self._of_loop(instruction))
            elif branches := list(self._branches(instruction)):
                each = [self.sent(branch, Counter()) for branch in branches]
                _add(total, max(each, key=lambda branch: sum(branch.values())))
            elif called := re.search(r"(?:calls|to_apply)=%?([\w.\-]+)", instruction.line):
                alone = instruction.operation == "call"
                _add(total, self.sent(called[1], Counter() if alone else seen))
        return total

    def _of_loop(self, loop: _Instruction) -> dict[str, float]:
        (body,) = re.findall(r"body=%?([\w.\-]+)", loop.line)
        once = self.sent(body, Counter())
        if not any(once.values()):
            return once
        count = self._iterations(loop)
        if count is None:
            self.unread_loops += 1
        return {kind: value * (count or 1) for kind, value in once.items()}

    def _iterations(self, loop: _Instruction) -> int | None:
        """How often a loop is run: as the compiler says, or by the limit of its counter."""
        if known := re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.line):
            return int(known[1])
        (condition,) = re.findall(r"condition=%?([\w.\-]+)", loop.line)
        lines = [instruction.line for instruction in self.computations[condition]]
        limits = {int(n) for line in lines for n in re.findall(r" constant\((\d+)\)", line)}
        return limits.pop() if len(limits) == 1 else None

    def _branches(self, instruction: _Instruction) -> Iterator[str]:
        if instruction.operation != "conditional":
            return
        if several := re.search(r"branch_computations=\{([^}]*)\}", instruction.line):
            yield from (name.strip().lstrip("%") for name in several[1].split(","))
        yield from re.findall(r"(?:true|false)_computation=%?([\w.\-]+)", instruction.line)

    def _bytes(self, kind: str, instruction: _Instruction) -> float:
        """Bytes that a collective sends from each device that takes part."""
        arrays = [_array_bytes(*found) for found in _ARRAY.findall(instruction.result)]
        if instruction.operation.endswith("-start") and kind in ("all-gather", "reduce-scatter"):
            arrays = arrays[len(arrays) // 2 :]  # what goes in, then what comes out
        if kind == "collective-permute":
            return arrays[1] if instruction.operation.endswith("-start") else sum(arrays)
        size, count = sum(arrays), self._group(instruction.line)
        if kind == "reduce-scatter" and instruction.operation.startswith("reduce-scatter"):
            size *= count  # the result is one device's part
        return (2 if kind == "all-reduce" else 1) * size * (count - 1) / count

    def _group(self, line: str) -> int:
        """Number of devices that a collective is among; the three ways XLA writes it in."""
        text = line.partition("replica_groups=")[2]
        if listed := re.match(r"\{\{([\d,]+)\}", text):
            return listed[1].count(",") + 1
        if iota := re.match(r"\[(\d+),(\d+)\]<=", text):
            return int(iota[2])
        if mesh := re.match(r"mesh\[([^\]]*)\] ?(?:\([^)]*\) ?)?\{([^}]*)\}", text):
            sizes = dict(re.findall(r"'([^']+)'=(\d+)", mesh[1]))
            parts = re.findall(r"'([^']+)'(?::\(\d+\)(\d+))?", mesh[2])
            return math.prod(int(part or sizes[axis]) for axis, part in parts)
        return self._partitions


def _add(total: dict[str, float], more: Mapping[str, float]) -> None:
    for kind, value in more.items():
        total[kind] += value


def _array_bytes(dtype: str, sizes: str) -> float:
    bits = _BITS.get(dtype) or int(next(iter(re.findall(r"\d+", dtype)), 0))
    return math.prod(int(n) for n in sizes.split(",") if n) * bits / 8


def described(sent: Mapping[str, float]) -> str:
    """`all-gather 1.2 GB, all-reduce 0.3 GB`; `none`."""
    parts: Sequence[str] = [f"{kind} {size / 1e9:.3g} GB" for kind, size in sent.items()]
    return ", ".join(parts) or "none"
