"""The resizes of feature nets by name."""

from glide_jax.models import resizing

RESIZES = {"tensorflow": resizing.tensorflow, "pytorch": resizing.half_pixel}
"""Name → (images: [b h w c], size) → f32[b size size c].

`tensorflow` is that of the FID network's own graph, and so of ADM's evaluator and torch_fidelity;
`pytorch` is pytorch-fid's. A FID's features differ by a hundredth between them.
"""
