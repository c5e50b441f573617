"""GLIDE's released upsampler: 64×64 and a caption → 256×256, 398 M parameters.

    python -m glide_jax.main --config=configs/upsampler.py --workdir=runs/upsampler

Hardware: GPUs of 80 GB, or a TPU pod. Time: by arithmetic 1.5 days on v5p-64 (docs/planning.md);
the first lines of a run estimate it for the machine at hand. Only the upsampler is trained, on
low-res images that are the mean over 4×4 blocks of the real ones; the base model is another run.
Expected: nobody has trained it here.

A base model's samples differ from the images that the upsampler was trained on. Noise-conditioning
augmentation makes it rely on the low-res image less: it is trained with noise of a random strength
on that image, conditioned on the strength, which is then chosen for sampling:

    --config.stages.upsampler.model.aug_level_conditioning=True \\
    --config.stages.upsampler.training.max_aug_level=0.5 \\
    --config.stages.upsampler.sampling.aug_level=0.1

Where the figures come from.
GLIDE's released code: the architecture and linear betas; its notebook: sampling, 27 steps of DDIM
from noise of standard deviation 0.997; neither puts noise on the low-res image.
GLIDE's paper (Nichol et al. 2021): 400,000 steps (app. B.1), and which 27 steps are taken (app.
B.2). It does not give this model's batch: 512 is that of the 1.5 B upsampler (sec. 4.1).
ADM's code (Dhariwal & Nichol 2021), whose upsampler it follows: the mean over blocks.
The rest as in configs/base.py; the paper speaks of dropped captions for its base model alone.
The augmentation: Ho et al. 2021 (Cascaded Diffusion Models), sec. 4, and Saharia et al. 2022
(Imagen), which conditions the model on its strength; the strengths are this project's.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("base")
    stage = config.stages.base
    stage.update(
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
            # The low-res image is inpainted already: RePaint need not repeat its steps.
            resamples=1,
        ),
    )
    config.stages = dict(upsampler=stage)
    config.update(data=dict(source="shapes/256"), evaluation=dict(guidance_scales=(1.0,)))
    return config
