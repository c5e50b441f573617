"""ADM's noisy classifier of ImageNet 64×64 at its published size, 65 M parameters.

    python -m glide_jax.main --config=configs/classifier.py --workdir=runs/classifier

says that such a model is not trained here yet, and ends: training learns pictures from captions,
which a classifier does not draw. The published ones come in by

    glide-jax download adm-64-classifier
    glide-jax import 64x64_classifier.pt --as adm-64-classifier --out runs/adm-64-classifier

and carry this.

Where the figures come from. ADM (Dhariwal & Nichol 2021), table 12, column ImageNet 64: the
architecture, the noise, batch size, steps, learning rate and weight decay. Its run let the learning
rate fall linearly to 0; of what there is here, a cosine is nearest. Warm-up and clipping are this
project's. The text section is the smallest there is, and `sampling` and `evaluation` ask nothing of
a classifier; `data` names this project's shapes in the place of ImageNet.
"""

import ml_collections


def get_config():
    return ml_collections.ConfigDict(
        dict(
            seed=0,
            data=dict(source="shapes/64", path="", split="train", workers=2),
            text=dict(tokenizer="sentencepiece", vocab_size=2, length=1),
            model=dict(
                family="classifier",
                image_size=64,
                channels=128,
                channel_mult=(1, 2, 3, 4),
                num_res_blocks=4,
                attention_resolutions=(32, 16, 8),
                head_channels=64,
                norm_groups=32,
                dropout=0.0,
                scale_shift_norm=True,
                resblock_updown=True,
                num_classes=1000,
                dtype="bfloat16",
            ),
            diffusion=dict(
                schedule="squared_cosine",
                num_steps=1000,
                prediction="eps",
                learn_variance=False,
                vlb_weight=0.0,
            ),
            training=dict(
                batch_size=1024,
                microbatch_size=4,
                num_steps=300_000,
                learning_rate=6e-4,
                lr_warmup_steps=1000,
                lr_decay="cosine",
                weight_decay=0.2,
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
