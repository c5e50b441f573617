"""What is measured of an arm: frozen dataclasses, each a `Measure`.

A claim declares them without JAX; what computes is imported where it runs.
"""
