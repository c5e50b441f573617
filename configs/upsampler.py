"""GLIDE's released upsampler: 64×64 and a caption → 256×256, 398 M parameters.

    python -m glide_jax.main --config=configs/upsampler.py --workdir=runs/upsampler

Hardware: GPUs of 80 GB, or a pod; the start says how long it would take. A base model before it
is another run: here the low-res picture is the mean over 4×4 blocks of the real one. Expected: no
one has run it at this size.

A base model's pictures are not quite what the upsampler was shown. With noise on the low-res
picture, of a strength that it is told, it relies on it the less, and how much is chosen when it
draws (conditioning augmentation):

    --config.model.low_res_noise_told=True --config.training.low_res_noise=0.5 \\
    --config.sampling.low_res_noise=0.1

Where the figures come from.
GLIDE's released code: the architecture and linear betas; its notebook: sampling, 27 steps of DDIM
from noise of standard deviation 0.997; neither puts noise on the low-res picture.
GLIDE's paper (Nichol et al. 2021): 400,000 steps (app. B.1), and which 27 steps are taken (app.
B.2). It gives this model's batch nowhere: 512 is its 1.5 B upsampler's (sec. 4.1).
ADM's code (Dhariwal & Nichol 2021), whose upsampler it follows: the mean over blocks.
The rest as in configs/base.py; of the dropped captions the paper speaks for its base model alone.
The augmentation: Ho et al. 2021 (Cascaded Diffusion Models), sec. 4, and Saharia et al. 2022
(Imagen), which tells the model how strong it is; the strengths are this project's.
"""

from pathlib import Path

from glide_jax.config import load_config


def get_config():
    config = load_config(Path(__file__).with_name("base.py"))
    config.update(
        data=dict(source="shapes/256"),
        model=dict(
            image_size=256,
            low_res_size=64,
            channel_mult=(1, 1, 2, 2, 4, 4),
            num_res_blocks=2,
        ),
        diffusion=dict(schedule="linear"),
        training=dict(batch_size=512, microbatch_size=1, num_steps=400_000),
        sampling=dict(
            sampler="ddim",
            steps="fast27",
            eta=0.0,
            guidance_scale=1.0,
            temperature=0.997,
        ),
        evaluation=dict(guidance_scales=(1.0,)),
    )
    return config
