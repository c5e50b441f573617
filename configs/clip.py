"""GLIDE's noised CLIP at its published size: two encoders, 86 M and 72 M parameters.

    python -m glide_jax.main --config=configs/clip.py --workdir=runs/clip

Hardware: a pod, or as many GPUs as hold the batch; the start says how long it would take. Each
picture, noised to a random t, is held against the captions of the whole batch, over all devices;
such a batch is not cut into micro-batches. It draws nothing: it guides,

    glide-jax sample "a red circle" --checkpoint runs/base --clip runs/clip --clip-scale 1

`metrics.jsonl` has its `accuracy`, the share of pictures whose own caption is the nearest.
Expected: no one has trained it here. The published one comes in by

    glide-jax download clip
    glide-jax import clip_image_enc.pt clip_text_enc.pt --as clip --out runs/clip

Where the figures come from.
GLIDE's released code: the architecture, its tokenizer, and a cosine times 100, where CLIP's learned
scale ends; here it is fixed.
GLIDE's paper (Nichol et al. 2021, sec. 4.4): 64×64 pictures, the base model's noise, CLIP's
objective.
CLIP (Radford et al. 2021, app. F): 32 epochs of 400 M pictures in batches of 32,768, a learning
rate of 5e-4 after 2,000 steps of warm-up that falls as a cosine, a weight decay of 0.2.
This project: clipping, EMA, the pictures. `sampling` and `evaluation` ask nothing of a CLIP.
"""

from pathlib import Path

from glide_jax.config import load_config


def get_config():
    config = load_config(Path(__file__).with_name("base.py"))
    config.model = dict(
        family="clip",
        image=dict(image_size=64, patch_size=4, width=768, layers=12, heads=12, num_timesteps=1000),
        text=dict(width=512, layers=12, heads=8),
        embedding_width=512,
        logit_scale=100.0,
        dtype="float32",
    )
    config.update(
        # CLIP's tokenizer gives ids below 49,408; the published table has rows for more.
        text=dict(tokenizer="clip_bpe", vocab_size=65_536, length=77),
        diffusion=dict(learn_variance=False, vlb_weight=0.0),
        training=dict(
            batch_size=32_768,
            microbatch_size=0,
            num_steps=390_000,
            optimizer="adamw",
            learning_rate=5e-4,
            lr_warmup_steps=2000,
            lr_decay="cosine",
            weight_decay=0.2,
            caption_dropout=0.0,
        ),
        sampling=dict(guidance_scale=1.0),
        prompts=(
            "a red circle above a blue square",
            "a small green triangle on a mint background",
        ),
        evaluation=dict(guidance_scales=(1.0,)),
    )
    return config
