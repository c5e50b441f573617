"""A text-conditional 64×64 model on MS-COCO's captions: 118,287 images, 591,753 captions.

    pip install img2dataset
    wget https://huggingface.co/datasets/ChristophSchuhmann/MS_COCO_2017_URL_TEXT/resolve/main/mscoco.parquet
    img2dataset --url_list mscoco.parquet --input_format parquet --url_col URL --caption_col TEXT \\
        --output_format webdataset --output_folder mscoco --processes_count 16 --thread_count 64 \\
        --image_size 256
    python -m glide_jax.main --config=configs/coco.py --workdir=runs/coco

Hardware: one GPU of 24 GB or more, or a TPU slice. Time: not measured; the first lines of a run
estimate it. Expected: nobody has trained it here.

img2dataset writes an image for each caption, 20 GB in ten minutes by its own account: the 591,753
rows are the epoch, and 100,000 steps of 256 images are 43 of them. The model is configs/emoji.py's
with twice the channels. The table has no captions of `val2017`: to evaluate on them, `glide-jax
evaluate --prompts=FILE`.

Where the figures come from.
img2dataset's page on MS-COCO (dataset_examples/mscoco.md): the table, the command, time and size.
MS-COCO 2017: the numbers of images and captions of its training split.
This project, an estimate: the model, the batch, the steps.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("emoji")
    config.data.update(source="webdataset", path="mscoco", workers=4)
    config.text.update(vocab_size=16_384, length=64)
    config.stages.base.update(
        model=dict(channels=128, head_channels=64, text_width=512, text_layers=8, text_heads=8),
        training=dict(batch_size=256, microbatch_size=32, num_steps=100_000, learning_rate=1e-4),
    )
    config.stages.base.training.ema_decay = 0.9999
    config.prompts = (
        "a plate of food on a wooden table",
        "a man riding a wave on a surfboard",
        "a red bus on a city street",
        "two giraffes in a field",
        "a cat asleep on a laptop",
        "a kitchen with white cabinets",
        "a tennis player hits the ball",
        "a snowy mountain under a blue sky",
    )
    config.evaluation = None
    return config
