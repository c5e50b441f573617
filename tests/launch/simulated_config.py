"""What the simulated slice trains: the tiny experiment."""

import tiny

from glide_jax import config


def get_config():
    loaded = config.load_config(
        tiny.CONFIGS / "quickstart.py",
        [
            *tiny.OVERRIDES,
            "data.source=swatches",
            "stages.base.model.low_res_size=4",
            "stages.base.training.num_steps=40",
            "stages.base.training.checkpoint_every_steps=2",
            "stages.base.training.log_every_steps=1",
            "stages.base.training.lr_decay=constant",
        ],
    )
    del loaded.text_pretraining
    loaded.stages = {"base": loaded.stages.base}
    return loaded
