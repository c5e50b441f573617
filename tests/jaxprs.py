"""`jaxprs_in_params`, wherever this version of JAX has it."""

try:
    from jax.extend.core import jaxprs_in_params
except ImportError:  # before JAX 0.10
    from jax.core import jaxprs_in_params

__all__ = ["jaxprs_in_params"]
