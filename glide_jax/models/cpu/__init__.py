"""Kernels for CPUs; only `models.kernels` calls them."""
