"""Every emoji of a colour-emoji font, generated from its name at 64×64 by one small model.

    python -m glide_jax.main --config=configs/emoji.py --workdir=runs/emoji

Hardware: anything; one accelerator of 16 GB or more for images worth looking at. A step is 13.9
TFLOP, 54 GFLOP an image. Time: not measured; the first lines of a run estimate it. On two CPU
cores, to see the loss fall, a small model at 32×32, of 2.4 GFLOP an image:

    python -m glide_jax.main --config=configs/emoji.py --workdir=runs/emoji_cpu \\
        --config.data.source=emoji/32 \\
        --config.stages.base.model.image_size=32 --config.stages.base.model.dtype=float32 \\
        --config.stages.base.model.channels=32 --config.stages.base.model.norm_groups=8 \\
        --config.stages.base.model.channel_mult=1,2,2 \\
        --config.stages.base.model.num_res_blocks=1 --config.stages.base.model.text_layers=2 \\
        --config.stages.base.training.batch_size=16 \\
        --config.stages.base.training.microbatch_size=0 \\
        --config.stages.base.training.num_steps=600 \\
        --config.stages.base.training.sample_every_steps=200 \\
        --config.stages.base.training.learning_rate=1e-3 \\
        --config.stages.base.training.lr_warmup_steps=20 \\
        --config.stages.base.training.ema_decay=0.98 --config.stages.base.sampling.steps=20

Expected: the small model's loss falls from 0.78 to 0.33 in 100 steps (a run of 100 steps: 122 s of
one core's time with compilation and two grids, at most 2.7 GiB). Nobody has trained the large one
here.

The data set is some 3,700 images with their names; its split `test` holds out 200 combinations of a
person and a skin tone, of which training has seen person and tone apart. Half of the prompts are of
these.

Where the figures come from: this project.
"""

import ml_collections


def get_config():
    return ml_collections.ConfigDict(
        dict(
            seed=0,
            cpu_devices=1,
            data=dict(source="emoji/64", path="", split="train", workers=2),
            text=dict(tokenizer="sentencepiece", vocab_size=2048, length=32),
            stages=dict(
                base=dict(
                    model=model(),
                    diffusion=dict(
                        schedule="squared_cosine",
                        num_steps=1000,
                        prediction="v",
                        learn_variance=False,
                        weighting="uniform",
                        timesteps="uniform",
                        vlb_weight=0.0,
                    ),
                    training=training(),
                    sampling=dict(
                        sampler="ddim",
                        inpaint_sampler="ddpm",
                        steps="50",
                        eta=0.0,
                        guidance_scale=3.0,
                        guidance_interval=(0.0, 1.0),
                        dynamic_threshold=None,
                        threshold_cap=None,
                        temperature=1.0,
                        aug_level=0.0,
                        resamples=10,
                        cache_interval=1,
                        batch_size=16,
                    ),
                ),
            ),
            prompts=(
                # In the training set, under these names.
                "smiling face with sunglasses",
                "a red heart",
                "a black cat",
                "a snow-capped mountain",
                "the flag of Japan",
                "a rocket",
                "a mushroom",
                "pizza",
                # Held out.
                "a woman astronaut with medium-dark skin",
                "a man firefighter with dark skin",
                "a man cook with medium skin",
                "a woman pilot with medium skin",
                "Santa Claus with medium-dark skin",
                "a vampire with medium-light skin",
                "a waving hand with medium-dark skin",
                "an old woman with dark skin",
            ),
            evaluation=dict(
                splits=("test",), guidance_scales=(1.0, 3.0), num_captions=64, periodic=None
            ),
            monitoring=dict(sinks=("jsonl", "tensorboard"), profile_steps=()),
        )
    )


def model():
    return dict(
        family="glide",
        image_size=64,
        low_res_size=0,
        aug_level_conditioning=False,
        guidance_range=(),
        inpaint=False,
        channels=64,
        channel_mult=(1, 2, 3, 4),
        num_res_blocks=2,
        attention_resolutions=(16, 8),
        norm_groups=32,
        head_channels=32,
        dropout=0.1,
        scale_shift_norm=True,
        resblock_updown=True,
        text_width=256,
        text_layers=6,
        text_heads=4,
        text_padding=True,
        text_final_norm=True,
        dtype="bfloat16",
        remat="none",
    )


def training():
    return dict(
        init_from="",
        batch_size=256,
        microbatch_size=64,
        num_steps=20_000,
        optimizer="adamw",
        learning_rate=3e-4,
        lr_warmup_steps=500,
        lr_decay="cosine",
        weight_decay=0.01,
        clip_norm=1.0,
        max_skipped_steps=10,
        ema_decay=0.999,
        caption_dropout=0.1,
        max_aug_level=0.0,
        fsdp=1,
        log_every_steps=10,
        checkpoint_every_steps=1000,
        keep_checkpoints=2,
        crop_size=0,
        sample_every_steps=2000,
    )
