"""GLIDE's noised CLIP at its published size: two encoders, 86 M and 72 M parameters.

The published weights come in by

    glide-jax download clip
    glide-jax import clip_image_enc.pt clip_text_enc.pt --as clip --out runs/clip

and carry this. They are trained elsewhere: as CLIP draws no pictures,

    python -m glide_jax.main --config=configs/clip.py --workdir=runs/clip

says so and ends.

Where the figures come from. GLIDE's released code: the architecture, its tokenizer, and the
noise that its pictures had. The sections `training`, `sampling` and `evaluation` are those of
configs/base.py and ask nothing of a CLIP.
"""

import ml_collections


def get_config():
    return ml_collections.ConfigDict(
        dict(
            seed=0,
            data=dict(source="shapes/64", path="", split="train", workers=2),
            # CLIP's tokenizer gives ids below 49,408; the published table has rows for more.
            text=dict(tokenizer="clip_bpe", vocab_size=65_536, length=77),
            model=dict(
                family="clip",
                image=dict(
                    image_size=64, patch_size=4, width=768, layers=12, heads=12, num_timesteps=1000
                ),
                text=dict(width=512, layers=12, heads=8),
                embedding_width=512,
                dtype="float32",
            ),
            diffusion=dict(
                schedule="squared_cosine",
                num_steps=1000,
                prediction="eps",
                learn_variance=False,
                vlb_weight=0.0,
            ),
            training=dict(
                batch_size=2048,
                microbatch_size=4,
                num_steps=2_500_000,
                learning_rate=1e-4,
                lr_warmup_steps=1000,
                lr_decay="constant",
                weight_decay=0.0,
                clip_norm=1.0,
                ema_decay=0.9999,
                caption_dropout=0.0,
                low_res_noise=0.0,
                fsdp=1,
                log_every_steps=1,
                checkpoint_every_steps=1000,
                keep_checkpoints=3,
                sample_every_steps=1000,
            ),
            sampling=dict(
                sampler="ddpm",
                steps="100",
                eta=1.0,
                guidance_scale=1.0,
                temperature=1.0,
                batch_size=4,
            ),
            prompts=(
                "a red circle above a blue square",
                "a small green triangle on a mint background",
            ),
            evaluation=dict(
                splits=("test", "compositional"), guidance_scales=(1.0,), num_captions=256
            ),
            upsampler=None,
        )
    )
