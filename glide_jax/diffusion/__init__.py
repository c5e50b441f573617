"""The maths of diffusion: pure functions of arrays; no flax, no files, no config.

`gaussian` opens with the derivation and `schedule` holds its coefficients. `losses` and `timesteps`
are for training; `guidance`, `samplers` and `sample` are for sampling.
"""
