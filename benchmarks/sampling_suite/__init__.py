"""The parts of benchmarks/sampling.py, a file each, and what they share."""
