"""The maths of diffusion: pure functions of arrays; no flax, no files, no config.

`gaussian` opens with the derivation; `schedule` holds the numbers it needs; `losses` trains a
model, `guidance` bends its predictions, `samplers` and `sample` draw pictures from it.
"""
