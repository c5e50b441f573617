"""ADM's class-conditional ImageNet 64×64 model at its published size, 296 M parameters.

    python -m glide_jax.main --config=configs/adm_imagenet64.py --workdir=runs/adm_imagenet64

says that such a model is not trained here yet, and ends: training learns pictures from captions,
of which ADM is told none. The published ones come in by

    glide-jax download adm-64
    glide-jax import 64x64_diffusion.pt --as adm-64 --out runs/adm-64

and carry this.

Where the figures come from. ADM (Dhariwal & Nichol 2021), table 11, column ImageNet 64: the
architecture, the noise, dropout, batch size, steps and learning rate; its text: EMA. Its code:
learned variance, λ = 0.001 of Improved DDPM (Nichol & Dhariwal 2021), no weight decay, 250 steps
of sampling. Warm-up and clipping are this project's. ImageNet itself is nobody's to hand on: `data`
names this project's shapes instead, and the text section is the smallest there is.
"""

import ml_collections


def get_config():
    return ml_collections.ConfigDict(
        dict(
            seed=0,
            data=dict(source="shapes/64", path="", split="train", workers=2),
            text=dict(tokenizer="sentencepiece", vocab_size=2, length=1),
            model=dict(
                family="adm",
                image_size=64,
                low_res_size=0,
                channels=192,
                channel_mult=(1, 2, 3, 4),
                num_res_blocks=3,
                attention_resolutions=(32, 16, 8),
                head_channels=64,
                num_heads=0,
                norm_groups=32,
                dropout=0.1,
                scale_shift_norm=True,
                resblock_updown=True,
                num_classes=1000,
                dtype="bfloat16",
            ),
            diffusion=dict(
                schedule="squared_cosine",
                num_steps=1000,
                prediction="eps",
                learn_variance=True,
                vlb_weight=0.001,
            ),
            training=dict(
                batch_size=2048,
                microbatch_size=4,
                num_steps=540_000,
                learning_rate=3e-4,
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
                steps="250",
                eta=1.0,
                guidance_scale=1.0,
                temperature=1.0,
                batch_size=4,
            ),
            prompts=(),
            evaluation=dict(splits=("test",), guidance_scales=(1.0,), num_captions=256),
            upsampler=None,
        )
    )
