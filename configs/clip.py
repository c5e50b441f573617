"""GLIDE's noised CLIP at its published size: two encoders, 86 M and 72 M parameters.

    python -m glide_jax.main --config=configs/clip.py --workdir=runs/clip

Hardware: a TPU pod, or as many GPUs as hold the batch. Time: not measured; the first lines of a run
estimate it. Each image, noised to a random t, is compared with the captions of the batch of all
devices, which can't be split into microbatches. It generates no images: it guides the sampling of
another model,

    glide-jax sample "a red circle" --checkpoint runs/base --clip runs/clip --clip-scale 1

`metrics.jsonl` has its `accuracy`, the share of images whose own caption is the nearest. Expected:
nobody has trained it here. To import the published one:

    glide-jax download clip
    glide-jax import clip_image_enc.pt clip_text_enc.pt --as clip --out runs/clip

Where the figures come from.
GLIDE's released code: the architecture and its tokenizer.
GLIDE's paper (Nichol et al. 2021, sec. 4.4): 64×64 images, the base model's noise, CLIP's
objective.
CLIP (Radford et al. 2021, sec. 2.5 and app. F): 32 epochs of 400 M images in batches of 32,768, a
learning rate of 5e-4 after 2,000 steps of warm-up that falls as a cosine, a weight decay of 0.2, a
scale of the cosine that is learned from 1 / 0.07.
This project: clipping, EMA, the images.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("base")
    base = config.stages.base
    stage = dict(
        model=dict(
            family="clip",
            image=dict(
                image_size=64, patch_size=4, width=768, layers=12, heads=12, num_timesteps=1000
            ),
            text=dict(width=512, layers=12, heads=8),
            embedding_width=512,
            logit_scale=1 / 0.07,
            dtype="float32",
        ),
        # The noise of the model that it guides.
        diffusion={name: base.diffusion[name] for name in ("schedule", "num_steps", "timesteps")},
        training=base.training,
    )
    for name in ("caption_dropout", "max_aug_level", "crop_size", "sample_every_steps"):
        del stage["training"][name]
    stage["training"].update(
        batch_size=32_768,
        microbatch_size=0,
        num_steps=390_000,
        learning_rate=5e-4,
        lr_warmup_steps=2000,
        lr_decay="cosine",
        weight_decay=0.2,
    )
    config.stages = dict(clip=stage)
    # CLIP's tokenizer gives ids below 49,408; the published table has rows for more.
    config.text = dict(tokenizer="clip_bpe", vocab_size=65_536, length=77)
    del config.prompts, config.evaluation
    return config
