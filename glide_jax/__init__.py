"""GLIDE, text-guided diffusion, in JAX.

from glide_jax import Pipeline

pipe = Pipeline.load("runs/quickstart")
pipe("a red circle above a blue square").images[0].show()
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glide_jax.sampling.pipeline import Pipeline

__version__ = "0.10.0"
__all__ = ["Pipeline", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported on first use: the commands answer a mistake before JAX loads.
    if name != "Pipeline":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from glide_jax.sampling.pipeline import Pipeline

    return Pipeline
