"""The quickstart's models, distilled: guidance in one evaluation, then 8 and 4 steps; 2 to enlarge.

    python -m glide_jax.main --config=configs/distill.py --workdir=runs/distill
    glide-jax sample "a red star above a blue square" --checkpoint runs/distill --guidance-scale 3

Hardware: two CPU cores, 3 GiB of memory. Time: 10 to 20 minutes. It starts from runs/quickstart,
trained by configs/quickstart.py. Expected: in 4 evaluations of the base model and 2 of the
upsampler 96.1 % of the captions of `test` right at guidance 3, its teacher 97.0 % in 40 and 4
(docs/training.md).

Where the figures come from.
Meng et al. 2023 (arXiv 2210.03142), sec. 3: guidance first, then the steps.
Salimans & Ho 2022 (arXiv 2202.00512): the steps halved from round to round; a weight above zero for
the noisiest steps, as the quickstart's own weighting gives them too.
This project: a range about the scales that the quickstart samples with; the steps of training, the
learning rates.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("quickstart")
    del config.text_pretraining
    base, upsampler = config.stages.base, config.stages.upsampler
    base.model.guidance_range = (1.0, 5.0)
    base.training.update(distillation("guidance", "8", "4"), num_steps=600, learning_rate=5e-4)
    base.sampling.steps = "trailing4"
    upsampler.training.update(distillation("2"), num_steps=300, learning_rate=5e-4)
    upsampler.sampling.steps = "trailing2"
    config.evaluation.periodic = None
    return config


def distillation(*rounds):
    return dict(
        init_from="runs/quickstart",
        distillation=dict(rounds=rounds, teacher_prediction="x_0", teacher_learns_variance=False),
        # The student learns of each caption what its teacher makes of it.
        caption_dropout=0.0,
        lr_warmup_steps=50,
    )
