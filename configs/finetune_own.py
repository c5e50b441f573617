"""GLIDE's base model, taught from some 20 of your own images: a low-rank adapter, or all weights.

    mkdir photos    # your images, and beside each NAME.txt with its caption; or one for all:
    echo '*,a photo of my dog Rexo' > photos/captions.csv
    glide-jax sample "a photo of a dog" --num-images 200 --checkpoint runs/base --out prior
    echo '*,a photo of a dog' > prior/captions.csv
    python -m glide_jax.main --config=configs/finetune_own.py --workdir=runs/own
    glide-jax sample "a photo of my dog Rexo on a beach" --checkpoint runs/base \\
        --adapter runs/own/base/adapter.safetensors

runs/base is GLIDE's released base model, imported (docs/converting.md) with its tokenizer, which
this config names. Without a prior, where nothing need be kept: `--config.data.prior=none`. All
weights instead of an adapter: `--config.stages.base.training.adapter=none`, with
`--config.stages.base.training.learning_rate=5e-6`.

Hardware: one GPU of 16 GB: about 6 GiB by XLA's analysis for a CPU (docs/training.md). Time: 1,000
steps; the first lines of a run estimate it. Expected: nobody has run it at this size;
configs/finetune_quickstart.py is the same for a small model, with what it learns and forgets. The
released model was trained without images of people.

Where the figures come from.
LoRA (Hu et al. 2021, arXiv 2106.09685): adapters of attention's weights; a rank of 4 to 64 does as
well there (table 18).
DreamBooth (Ruiz et al. 2022, arXiv 2208.12242): a rare word with the word of its class; as many
images of the class, made by the model, as of one's own in each step, λ = 1.
Diffusers' example of both, for Stable Diffusion: learning rates of 1e-4 for an adapter and 5e-6 for
all weights, 500 to 800 steps, 200 images of the class.
This project, an estimate: the rank, the batch and the number of steps for this model.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("base")
    config.data.update(
        source="folder",
        path="photos",
        prior=dict(source="folder", path="prior", split="train", share=0.5),
    )
    config.text.tokenizer = "gpt2"
    config.stages.base.training.update(
        init_from="runs/base",
        adapter=dict(rank=16, alpha=16.0, weights=("attention",)),
        batch_size=8,
        microbatch_size=4,
        num_steps=1000,
        learning_rate=1e-4,
        lr_warmup_steps=50,
        caption_dropout=0.1,
        ema_decay=0.99,
        checkpoint_every_steps=200,
        sample_every_steps=200,
        log_every_steps=10,
    )
    config.prompts = (
        "a photo of my dog Rexo",
        "a photo of my dog Rexo on a beach",
        "a photo of a dog",
        "a photo of a cat",
    )
    config.evaluation = None
    return config
