"""GLIDE's released base model and upsampler, distilled to 4 evaluations each.

    python -m glide_jax.main --config=configs/distill_released.py --workdir=runs/distill_released

Hardware: GPUs of 80 GB, or a TPU pod; a teacher's weights lie beside the student's. Time: not
measured; the first lines of a run estimate it. It starts from runs/base and runs/upsampler, trained
by configs/base.py and configs/upsampler.py or imported (docs/converting.md), then with
`--config.text.tokenizer=gpt2`. Expected: nobody has run it at this size; configs/distill.py is the
same for small models, with what comes of it.

The released models predict eps, which near pure noise says nothing of the image: their students
predict v (Salimans & Ho 2022, sec. 4), and no variance, which DDIM doesn't read.

Where the figures come from.
Salimans & Ho 2022 (arXiv 2202.00512): the steps halved from round to round, the weighting, and a
learning rate that falls to 0 in each round (algorithm 2; here by a cosine).
Meng et al. 2023 (arXiv 2210.03142), sec. 3: guidance first, then the steps.
GLIDE's notebook: guidance of 3 for the base model, none for the upsampler.
This project, an estimate: the batch, the range of scales, the learning rate and the steps.
"""

from glide_jax.config import load_config


def get_config():
    config, other = load_config("base"), load_config("upsampler")
    config.stages.upsampler = other.stages.upsampler
    config.data.source = other.data.source
    base, upsampler = config.stages.base, config.stages.upsampler
    base.model.guidance_range = (1.0, 6.0)
    distil("base", base, "guidance", "64", "32", "16", "8", "4")
    distil("upsampler", upsampler, "16", "8", "4")
    config.evaluation.guidance_scales = (3.0,)
    return config


def distil(name, stage, *rounds):
    stage.model.dropout = 0.0
    stage.diffusion.update(
        prediction="v", learn_variance=False, vlb_weight=0.0, weighting="truncated_snr"
    )
    stage.training.update(
        init_from=f"runs/{name}",
        distillation=dict(rounds=rounds, teacher_prediction="eps", teacher_learns_variance=True),
        caption_dropout=0.0,
        batch_size=256,
        num_steps=10_000,
        learning_rate=5e-5,
        lr_decay="cosine",
        ema_decay=0.999,
    )
    stage.sampling.update(sampler="ddim", steps=f"trailing{rounds[-1]}", eta=0.0, temperature=1.0)
