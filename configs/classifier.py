"""ADM's noisy classifier of ImageNet 64×64 at its published size, 65 M parameters.

    python -m glide_jax.main --config=configs/classifier.py --workdir=runs/classifier

says that such a model is not trained here yet, and ends: training learns pictures from captions,
which a classifier does not draw. The published ones come in by

    glide-jax download adm-64-classifier
    glide-jax import 64x64_classifier.pt --as adm-64-classifier --out runs/adm-64-classifier

and carry this.

Where the figures come from.
ADM (Dhariwal & Nichol 2021, arXiv 2105.05233), table 12, column ImageNet 64: the architecture, the
noise, 300,000 steps of 1024 pictures, a learning rate of 6e-4, and a weight decay of 0.2.
ADM's code: a learning rate that falls linearly to 0; of what there is here, a cosine is nearest.
This project: warm-up, clipping, EMA and bfloat16. The text section is the smallest there is, and
`sampling` and `evaluation` ask nothing of a classifier; `data` names this project's shapes in the
place of ImageNet.
"""

from pathlib import Path

from glide_jax.config import load_config


def get_config():
    config = load_config(Path(__file__).with_name("base.py"))
    config.model = dict(
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
        remat="none",
    )
    config.update(
        text=dict(vocab_size=2, length=1),
        diffusion=dict(learn_variance=False, vlb_weight=0.0),
        training=dict(
            batch_size=1024,
            num_steps=300_000,
            learning_rate=6e-4,
            lr_decay="cosine",
            weight_decay=0.2,
            caption_dropout=0.0,
        ),
        sampling=dict(steps="250", guidance_scale=1.0),
        prompts=(),
        evaluation=dict(splits=("test",), guidance_scales=(1.0,)),
    )
    return config
