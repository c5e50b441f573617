"""What an accelerator does with this project, in one command of at most twelve minutes.

    python benchmarks/accelerator.py --out=runs/accelerator [--smoke]

Writes OUT/accelerator.json and OUT/accelerator.md, a page: sampling GLIDE's base model in bfloat16
at batches of 1, 8 and 32 with milliseconds an image and MFU, beside the public PyTorch code in
float16 where `glide_text2im` can be imported; which attention kernels were compiled; training
images/s, MFU, the peak of the memory and the largest batch that runs; errors of the small golden
models in bfloat16; 400 steps of configs/emoji.py.

Each part is a process of its own with a time of its own: what it has found when that is over, or
when it fails, is kept, and the next begins. --smoke does all of it with small models, on a CPU too,
in about a minute: that is all that has been run so far, nobody has run it on an accelerator.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PARTS = {
    "device": 40,
    "golden": 60,
    "sampling": 150,
    "reference": 90,
    "training": 190,
    "emoji": 180,
}
"""Module of `accelerator_suite` → the seconds that it may take: 710 in all."""

SMOKE_FACTOR = 5
"""So many times longer with --smoke: a CPU that others use compiles slowly."""

SMOKE_FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
"""Of XLA with --smoke: what runs a few times need not be optimized."""

GRACE_S = 3


def main(argv: Sequence[str]) -> int:
    """Run every part, and write the page. 0: no part failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    parser.add_argument("--smoke", action="store_true", help="small models, to try the script")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of them; default: all")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.child:
        run_part(arguments.child, arguments.out, smoke=arguments.smoke)
        return 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    for name in arguments.parts.split(","):
        found[name] = in_a_process(name, arguments.out, smoke=arguments.smoke)
        write(arguments.out, found, smoke=arguments.smoke)
        print(f"{name}: {found[name]['status']}, {found[name]['seconds']:.0f} s", flush=True)
    print(arguments.out / "accelerator.md")
    return int(any(part["status"].startswith("failed") for part in found.values()))


def in_a_process(name: str, out: Path, *, smoke: bool) -> dict[str, Any]:
    """What a part found, with `status` and `seconds`; whatever ends it, nothing is lost.

    Args:
        name: of PARTS.
        out: the folder.
        smoke: with small models.
    """
    file = part_file(out, name)
    file.unlink(missing_ok=True)
    command = [sys.executable, __file__, f"--out={out}", f"--child={name}"]
    begun, log, box = time.monotonic(), out / f"{name}.log", PARTS[name]
    environment = dict(os.environ)
    if smoke:
        box *= SMOKE_FACTOR
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {SMOKE_FLAGS}"
    with log.open("wb") as stream:
        # A session of its own: what the part has started ends with it.
        process = subprocess.Popen(
            command + ["--smoke"] * smoke,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env=environment,
        )
        try:
            code = process.wait(box)
            status = "complete" if code == 0 else f"failed with status {code}: {last_line(log)}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            status = f"stopped after its {box} s"
    results = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return {"status": status, "seconds": time.monotonic() - begun, "results": results}


def run_part(name: str, out: Path, *, smoke: bool) -> None:
    """Run a part in this process; it is written down after each of its results.

    Args:
        name: of PARTS.
        out: the folder.
        smoke: with small models.
    """
    file, results = part_file(out, name), {}
    part = importlib.import_module(f"accelerator_suite.{name}")
    for key, value in part.run(out, smoke=smoke):
        results[key] = value
        new = file.with_suffix(".part")
        new.write_text(json.dumps(results), "utf-8")
        new.replace(file)


def part_file(out: Path, name: str) -> Path:
    """Where a part's results are while it runs."""
    return out / f"{name}.json"


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = [line for line in log.read_text("utf-8", "replace").split("\n") if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"


def write(out: Path, found: dict[str, Any], *, smoke: bool) -> None:
    """Write the JSON and the page."""
    about = {"smoke": smoke, "parts": found}
    (out / "accelerator.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    (out / "accelerator.md").write_text(page(found, smoke=smoke), "utf-8")


def page(found: dict[str, Any], *, smoke: bool) -> str:
    """The results in Markdown: a section a part, a table for what has rows."""
    lines = ["# Accelerator", ""]
    if smoke:
        lines += ["A trial of the script with small models: the figures mean nothing.", ""]
    for name, part in found.items():
        lines += [f"## {name}", "", f"{part['status']}, {part['seconds']:.0f} s", ""]
        rows = {k: v for k, v in part["results"].items() if isinstance(v, dict)}
        lines += [f"- {k}: {shown(v)}" for k, v in part["results"].items() if k not in rows]
        heads = list(dict.fromkeys(head for row in rows.values() for head in row))
        if rows:
            lines += ["", f"| | {' | '.join(heads)} |", f"|{' --- |' * (len(heads) + 1)}"]
            for key, row in rows.items():
                cells = [shown(row.get(head, "")) for head in heads]
                lines.append(f"| {key} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def shown(value: Any) -> str:
    """A value for the page: numbers with four significant figures."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
