"""GLIDE's released upsampler: 64×64 and a caption → 256×256, 398 M parameters.

    python -m glide_jax.main --config=configs/upsample.py --workdir=runs/upsample

Hardware: GPUs of 80 GB, or a pod; the start says how long it would take. A base model before it
is another run: here the low-res picture is the mean over blocks of the real one.

Where the figures come from. GLIDE's released code: the architecture, linear betas, and sampling,
27 steps of DDIM from noise of standard deviation 0.997. Its paper (Nichol et al. 2021): batch size
and steps, which are its 1.5 B upsampler's. The rest as in configs/base.py.
"""

import ml_collections


def get_config():
    return ml_collections.ConfigDict(
        dict(
            seed=0,
            data=dict(source="shapes/256", path="", split="train", workers=2),
            text=dict(tokenizer="sentencepiece", vocab_size=50_257, length=128),
            model=dict(
                family="glide",
                image_size=256,
                low_res_size=64,
                inpaint=False,
                channels=192,
                channel_mult=(1, 1, 2, 2, 4, 4),
                num_res_blocks=2,
                attention_resolutions=(32, 16, 8),
                norm_groups=32,
                head_channels=64,
                dropout=0.1,
                scale_shift_norm=True,
                resblock_updown=True,
                text_width=512,
                text_layers=16,
                text_heads=8,
                text_padding=True,
                text_final_norm=True,
                dtype="bfloat16",
            ),
            diffusion=dict(
                schedule="linear",
                num_steps=1000,
                prediction="eps",
                learn_variance=True,
                vlb_weight=0.001,
            ),
            training=dict(
                batch_size=512,
                microbatch_size=1,
                num_steps=1_600_000,
                learning_rate=1e-4,
                lr_warmup_steps=1000,
                lr_decay="constant",
                weight_decay=0.0,
                clip_norm=1.0,
                ema_decay=0.9999,
                caption_dropout=0.2,
                low_res_noise=0.0,
                fsdp=1,
                log_every_steps=1,
                checkpoint_every_steps=1000,
                keep_checkpoints=3,
                sample_every_steps=1000,
            ),
            sampling=dict(
                sampler="ddim",
                steps="fast27",
                eta=0.0,
                guidance_scale=1.0,
                temperature=0.997,
                batch_size=4,
            ),
            prompts=(
                "a red circle above a blue square",
                "a small green triangle on a mint background",
                "a red star",
                "a yellow square to the left of a cyan star",
            ),
            evaluation=dict(
                splits=("test", "compositional"), guidance_scales=(1.0,), num_captions=256
            ),
            upsampler=None,
        )
    )
