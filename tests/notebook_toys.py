"""The folder of small models that the notebooks take in place of those they download or train."""

import json

import pytest
import tiny
from encoders.encoder_toys import MANIFEST, write_t5
from models.model_toys import filled
from PIL import Image
from shrinking import shrinking

from glide_jax import config, data, text
from glide_jax.checkpoints import Checkpoints
from glide_jax.config import FrozenTextConfig
from glide_jax.data.shapes import builder
from glide_jax.models.families import model_of

SHAPES = {"train": 48, "test": 8, "compositional": 8}
CAPTIONS = ("a photo of my dog", "a red circle", "a blue square")
INPAINT = ("stages.base.model.inpaint=True", "stages.upsampler.model.inpaint=True")
ONE_UPSAMPLER = "stages.upsampler_128=none"


def write(folder):
    """Everything that a notebook asks of it, and the data set `shapes/32`, with few images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "SPLITS", SHAPES)
        patch.setenv("TFDS_DATA_DIR", str(folder / "data"))
        data.prepare("shapes/32", "")
    write_workdir(folder / "glide", "quickstart")
    write_workdir(folder / "inpaint", "quickstart", *INPAINT)
    write_workdir(folder / "clip", "clip")
    write_workdir(folder / "base", "finetune_own", "stages.base.training.adapter=none")
    encoder = write_t5(folder / "t5")
    width = MANIFEST["options"]["d_model"]
    write_workdir(
        folder / "if",
        "imagen_quickstart",
        ONE_UPSAMPLER,
        "text.encoder=t5",
        f"text.weights={encoder}",
        *(f"stages.{name}.model.encoder_width={width}" for name in ("base", "upsampler")),
    )
    write_config(
        folder / "quickstart.py",
        "quickstart",
        "stages.base.training.num_steps=8",
        # Muon takes as long to compile as a model; tests/every_config_test.py trains with it.
        *(
            f"{section}.training.optimizer=adamw"
            for section in ("text_pretraining", "stages.base", "stages.upsampler")
        ),
    )
    write_config(
        folder / "finetune_own.py",
        "finetune_own",
        f"stages.base.training.init_from={folder / 'base'}",
        "data.source=folder",
        "data.prior.source=folder",
        "data.prior.path=prior",
    )
    (folder / "photos").mkdir()
    for i, colour in enumerate(tiny.COLOURS.values()):
        Image.new("RGB", (16, 16), colour).save(folder / "photos" / f"{i}.png")
    return folder


def write_workdir(folder, name, *overrides):
    """A workdir of a config, small, with weights that nobody trained."""
    path = tiny.CONFIGS / f"{name}.py"
    experiment = config.experiment_from(config.load_config(path, [*shrinking(path), *overrides]))
    if isinstance(experiment.text, FrozenTextConfig):
        size, reader = 0, {"kind": "frozen_encoder", "encoder": experiment.text.encoder}
    else:
        tokenizer = text.train("sentencepiece", CAPTIONS, 300)
        size, reader = tokenizer.vocab_size, tokenizer.to_dict()
    for stage, chosen in experiment.stages.items():
        model = model_of(chosen, vocab_size=size, text_length=experiment.text_length)
        with Checkpoints(
            folder / stage / "checkpoints", keep=1, experiment=experiment, tokenizer=reader
        ) as checkpoints:
            checkpoints.save(0, {"ema_params": filled(model.shapes)}, {})


def write_config(file, name, *overrides):
    """A config file that is a released one, small."""
    small = [*shrinking(tiny.CONFIGS / f"{name}.py"), *overrides]
    file.write_text(
        "from glide_jax.config import load_config\n\n\n"
        f"def get_config():\n    return load_config({name!r}, {json.dumps(small, indent=4)})\n"
    )
