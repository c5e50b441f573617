"""GLIDE's base model trained on CC12M: twelve million images of the web with their alt texts.

    pip install img2dataset
    wget https://storage.googleapis.com/conceptual_12m/cc12m.tsv
    sed -i '1s/^/url\\tcaption\\n/' cc12m.tsv
    img2dataset --url_list cc12m.tsv --input_format tsv --url_col url --caption_col caption \\
        --output_format webdataset --output_folder cc12m --processes_count 16 --thread_count 64 \\
        --image_size 256
    python -m glide_jax.main --config=configs/cc12m.py --workdir=runs/cc12m

Hardware: a TPU pod, or eight GPUs of 80 GB, and 331 GB of disk; by a bucket,
`--config.data.path=gs://BUCKET/cc12m`. Time: five hours of download by img2dataset's own account;
of training, by arithmetic an eighth of configs/base.py's, for a quarter of its steps at half of its
batch. Expected: nobody has trained it here.

Of the 12.4 M links a part is gone: img2dataset says how many images it wrote. 250,000 steps of 1024
are about 25 epochs of ten million.

Where the figures come from.
img2dataset's page on CC12M (dataset_examples/cc12m.md): the table, the commands, time and size.
Conceptual 12M (Changpinyo et al. 2021, arXiv 2102.08981): the number of links.
The model: configs/base.py. This project, an estimate: the batch and the steps.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("base")
    config.data.update(source="webdataset", path="cc12m", workers=8)
    config.stages.base.training.update(batch_size=1024, microbatch_size=16, num_steps=250_000)
    config.prompts = (
        "a watercolour of a lighthouse",
        "a bowl of fruit on a wooden table",
        "a street in the rain at night",
        "portrait of a dog in the park",
        "a mountain lake at sunrise",
        "a vintage red car",
        "a wedding cake with flowers",
        "a map of the world",
    )
    config.evaluation = None
    return config
