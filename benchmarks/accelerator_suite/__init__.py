"""The parts of `benchmarks/accelerator.py`: each has `run(out, smoke=…)`, which yields results."""
