"""The XLA_FLAGS that tests run under, here and in the processes that they start."""

QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
"""A test runs what it compiled for a moment only: LLVM's optimizations cost more than they give."""


def quick_cpu(devices: int) -> str:
    """So many devices of the CPU, for which little is optimized."""
    return f"--xla_force_host_platform_device_count={devices} {QUICK}"
