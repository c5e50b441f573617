"""GLIDE's released base model: 64×64 images, 385 M parameters with the released vocabulary.

    python -m glide_jax.main --config=configs/base.py --workdir=runs/base

Hardware: a TPU pod, or GPUs of 80 GB; `--config.stages.base.training.microbatch_size=N` and
`--config.stages.base.training.fsdp=N` fit it into less memory. Time: by arithmetic 3.2 days on
v5p-64 (docs/planning.md); the first lines of a run estimate it for the machine at hand, even a
laptop. Expected: nobody has trained it here.

Where the figures come from.
GLIDE's released code: the architecture and the diffusion; its notebook: 100 steps of sampling, and
guidance of 3.
GLIDE's paper (Nichol et al. 2021, arXiv 2112.10741): 1.1 M steps, before 0.5 M of fine-tuning (app.
B.1); 20 % of the captions dropped, in the paper by fine-tuning, here from the start (sec. 4.2). It
does not give this model's batch: 2048 is that of the 3.5 B model (sec. 4.1).
ADM (Dhariwal & Nichol 2021, arXiv 2105.05233), GLIDE's basis: AdamW, EMA of 0.9999 (app. I).
Improved DDPM (Nichol & Dhariwal 2021, sec. 3.1): λ = 0.001. The defaults of its code: a constant
learning rate of 1e-4, which ADM's table 11 has for 128 pixels and more, and no weight decay.
This project: warm-up, clipping, bfloat16 (GLIDE: 16 bits, the loss scaled), the images, the
tokenizer (GLIDE: GPT-2's, whose vocabulary is as large), and what `training` and `data` say of the
machine.
"""

import ml_collections


def get_config():
    return ml_collections.ConfigDict(
        dict(
            seed=0,
            cpu_devices=1,
            data=dict(source="shapes/64", path="", split="train", workers=2),
            # GLIDE's sizes; captions of few words make a smaller vocabulary.
            text=dict(tokenizer="sentencepiece", vocab_size=50_257, length=128),
            stages=dict(
                base=dict(
                    model=model(),
                    diffusion=dict(
                        schedule="squared_cosine",
                        num_steps=1000,
                        prediction="eps",
                        learn_variance=True,
                        weighting="uniform",
                        timesteps="uniform",
                        vlb_weight=0.001,
                    ),
                    training=training(),
                    sampling=dict(
                        sampler="ddpm",
                        inpaint_sampler="ddpm",
                        steps="100",
                        eta=1.0,
                        guidance_scale=3.0,
                        guidance_interval=(0.0, 1.0),
                        dynamic_threshold=None,
                        threshold_cap=None,
                        temperature=1.0,
                        aug_level=0.0,
                        resamples=10,
                        cache_interval=1,
                        batch_size=4,
                    ),
                ),
            ),
            prompts=(
                "a red circle above a blue square",
                "a small green triangle on a mint background",
                "a red star",
                "a yellow square to the left of a cyan star",
            ),
            evaluation=dict(
                splits=("test", "compositional"),
                guidance_scales=(1.0, 3.0),
                num_captions=256,
                periodic=None,
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
        channels=192,
        channel_mult=(1, 2, 3, 4),
        num_res_blocks=3,
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
        remat="none",
    )


def training():
    return dict(
        init_from="",
        batch_size=2048,
        microbatch_size=4,
        num_steps=1_100_000,
        optimizer="adamw",
        learning_rate=1e-4,
        lr_warmup_steps=1000,
        lr_decay="constant",
        weight_decay=0.0,
        clip_norm=1.0,
        max_skipped_steps=10,
        ema_decay=0.9999,
        caption_dropout=0.2,
        max_aug_level=0.0,
        crop_size=0,
        fsdp=1,
        log_every_steps=1,
        checkpoint_every_steps=1000,
        keep_checkpoints=3,
        sample_every_steps=1000,
    )
