"""The metrics of `glide-jax evaluate`, a file each; `evaluation.registry` names them."""
