"""The public files: their addresses, what is known about them, and the models they hold.

The addresses and the options are those of the references' own sources: `glide_text2im/download.py`
and the README of guided-diffusion; the defaults of `model_creation.py` and `script_util.py`,
changed by the README's flags. `use_fp16` is always False: it is how the reference runs a model, not
which model it is.

Sizes and digests are given where they were published; for other files the download relies on the
server's.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from glide_jax.errors import UserError, unknown_name
from glide_jax.text.vocabulary import CLIP_FILE, CLIP_SHA256

_GLIDE_URL = "https://openaipublic.blob.core.windows.net/diffusion/dec-2021/"
_ADM_URL = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/"
# A fixed commit: the file can't change.
_TEXT2IM_URL = "https://raw.githubusercontent.com/openai/glide-text2im/69b530740eb6cef69442d6180579ef5ba9ef063e/"

# TensorFlow's network, converted by the author of pytorch-fid; others check it by this size and
# digest, whose first digits are in its name.
_INCEPTION_URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"

_DIFFUSION = {
    "diffusion_steps": 1000,
    "timestep_respacing": "",
}

_BASE = {
    "image_size": 64,
    "num_channels": 192,
    "num_res_blocks": 3,
    "channel_mult": "",
    "num_heads": 1,
    "num_head_channels": 64,
    "num_heads_upsample": -1,
    "attention_resolutions": "32,16,8",
    "dropout": 0.1,
    "text_ctx": 128,
    "xf_width": 512,
    "xf_layers": 16,
    "xf_heads": 8,
    "xf_final_ln": True,
    "xf_padding": True,
    **_DIFFUSION,
    "noise_schedule": "squaredcos_cap_v2",
    "use_scale_shift_norm": True,
    "resblock_updown": True,
    "cache_text_emb": False,
    "inpaint": False,
    "super_res": False,
}

_UPSAMPLE = _BASE | {
    "image_size": 256,
    "num_res_blocks": 2,
    "noise_schedule": "linear",
    "super_res": True,
}

_CLIP_IMAGE = {
    "image_size": 64,
    "patch_size": 4,
    "n_embd": 512,
    "n_head": 12,
    "n_xf_blocks": 12,
    "n_head_state": 64,
    "n_timestep": 1000,
}

_CLIP_TEXT = {
    "n_bpe_vocab": 65536,
    "max_text_len": 77,
    "n_embd": 512,
    "n_head": 8,
    "n_xf_blocks": 12,
    "n_head_state": 64,
}

_ADM = {
    "num_channels": 256,
    "num_res_blocks": 2,
    "num_heads": 4,
    "num_heads_upsample": -1,
    "num_head_channels": 64,
    "attention_resolutions": "32,16,8",
    "dropout": 0.0,
    "class_cond": True,
    "use_checkpoint": False,
    "use_scale_shift_norm": True,
    "resblock_updown": True,
    "use_fp16": False,
    "learn_sigma": True,
    **_DIFFUSION,
    "noise_schedule": "linear",
    "use_kl": False,
    "predict_xstart": False,
    "rescale_timesteps": False,
    "rescale_learned_sigmas": False,
}

_CLASSIFIER = {
    "classifier_use_fp16": False,
    "classifier_width": 128,
    "classifier_depth": 2,
    "classifier_attention_resolutions": "32,16,8",
    "classifier_use_scale_shift_norm": True,
    "classifier_resblock_updown": True,
    "classifier_pool": "attention",
}


_IF = {
    "out_channels": 6,
    "activation": "gelu",
    "use_scale_shift_norm": True,
    "resblock_updown": True,
    "dropout": 0.0,
    "num_head_channels": 64,
    "encoder_dim": 4096,
    "att_pool_heads": 64,
}

_IF_I = _IF | {
    "in_channels": 3,
    "image_size": 64,
    "channel_mult": "1,2,3,4",
    "num_res_blocks": 3,
    "attention_resolutions": "32,16,8",
}

_IF_II = _IF | {
    "in_channels": 6,
    "image_size": 256,
    "efficient_activation": True,
    "scale_skip_connection": True,
    "disable_self_attentions": False,
}

_IF_II_L = {
    "model_channels": 160,
    "channel_mult": "1,2,4,6,8",
    "num_res_blocks": [2, 2, 3, 5, 5],
    "attention_resolutions": "32,16",
    "encoder_channels": 1280,
}


@dataclasses.dataclass(frozen=True)
class PublicFile:
    """A file that anyone may fetch.

    Attributes:
        name: its name in FILES; another file's is its address.
        url: its address; "": none is given here, as its licence wants to be agreed to first.
        kind: the model's family, "glide", "adm", "imagen", "classifier", "clip_image" or
            "clip_text", or "vocabulary", or "features" of a net that evaluation compares images by;
            "": unknown.
        options: the reference's option dict of the model, by its own names.
        size: in bytes; None: unknown.
        digest: "sha256:…" or "md5:…", hexadecimal; "": unknown.
    """

    name: str
    url: str
    kind: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    size: int | None = None
    digest: str = ""


_PUBLISHED: Mapping[str, tuple[int, str]] = {
    "adm-64": (
        1_183_736_577,
        "sha256:a18558f9a2499615a3ff9759ad12299690ad36ee3378c395adbb94855e2b634f",
    ),
    "adm-64-classifier": (
        261_889_658,
        "sha256:d5c4c240e4f0d36460f58520c2803a11490db7e5540e42d2ad75f0cf75bb3586",
    ),
    "adm-256": (2_215_479_544, "md5:d94f30fb1afb2fe821c24bef2043717e"),
    "adm-256-uncond": (
        2_211_383_297,
        "sha256:a37c32fffd316cd494cf3f35b339936debdc1576dad13fe57c42399a5dbc78b1",
    ),
    "clip-vocab": (1_356_917, f"sha256:{CLIP_SHA256}"),
    "inception": (
        95_628_359,
        "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
}
"""Name → (size, digest), as people who fetched the file have published them."""


def _file(name: str, url: str, kind: str, options: Mapping[str, Any]) -> PublicFile:
    size, digest = _PUBLISHED.get(name, (None, ""))
    return PublicFile(name, url, kind, options, size, digest)


def _glide(name: str, options: Mapping[str, Any]) -> PublicFile:
    return _file(name, f"{_GLIDE_URL}{name.replace('-', '_')}.pt", "glide", options)


def _clip(name: str, kind: str, options: Mapping[str, Any]) -> PublicFile:
    return _file(name, f"{_GLIDE_URL}{kind}_enc.pt", kind, options)


def _adm(name: str, stem: str, image_size: int, **changes: Any) -> PublicFile:
    own = {"image_size": image_size, "channel_mult": "", "use_new_attention_order": False}
    return _file(name, f"{_ADM_URL}{stem}.pt", "adm", _ADM | own | changes)


def _upsampler(name: str, small: int, large: int, **changes: Any) -> PublicFile:
    own = {"large_size": large, "small_size": small, "num_channels": 192}
    return _file(name, f"{_ADM_URL}{small}_{large}_upsampler.pt", "adm", _ADM | own | changes)


def _classifier(image_size: int, depth: int = 2) -> PublicFile:
    options = _CLASSIFIER | {"image_size": image_size, "classifier_depth": depth}
    url = f"{_ADM_URL}{image_size}x{image_size}_classifier.pt"
    return _file(f"adm-{image_size}-classifier", url, "classifier", options)


_ALL = (
    _glide("base", _BASE),
    _glide("upsample", _UPSAMPLE),
    _glide("base-inpaint", _BASE | {"inpaint": True}),
    _glide("upsample-inpaint", _UPSAMPLE | {"inpaint": True}),
    _clip("clip-image", "clip_image", _CLIP_IMAGE),
    _clip("clip-text", "clip_text", _CLIP_TEXT),
    _file("clip-vocab", f"{_TEXT2IM_URL}glide_text2im/tokenizer/{CLIP_FILE}", "vocabulary", {}),
    _adm(
        "adm-64",
        "64x64_diffusion",
        64,
        num_channels=192,
        num_res_blocks=3,
        dropout=0.1,
        noise_schedule="cosine",
        use_new_attention_order=True,
    ),
    _classifier(64, depth=4),
    _adm("adm-128", "128x128_diffusion", 128, num_head_channels=-1),
    _classifier(128),
    _adm("adm-256", "256x256_diffusion", 256),
    _adm("adm-256-uncond", "256x256_diffusion_uncond", 256, class_cond=False),
    _classifier(256),
    _adm("adm-512", "512x512_diffusion", 512),
    _classifier(512),
    _upsampler("adm-64-to-256", 64, 256, num_head_channels=-1),
    _upsampler("adm-128-to-512", 128, 512, attention_resolutions="32,16"),
    _adm("lsun-bedroom", "lsun_bedroom", 256, class_cond=False, dropout=0.1),
    _adm("lsun-cat", "lsun_cat", 256, class_cond=False, dropout=0.1),
    _adm("lsun-horse", "lsun_horse", 256, class_cond=False, dropout=0.1),
    _adm("lsun-horse-nodropout", "lsun_horse_nodropout", 256, class_cond=False),
    _file("inception", f"{_INCEPTION_URL}pt_inception-2015-12-05-6726825d.pth", "features", {}),
)

FILES: Mapping[str, PublicFile] = {file.name: file for file in _ALL}
"""Every public file by its name."""

HELD: Mapping[str, PublicFile] = {
    name: PublicFile(name, "", "imagen", options)
    for name, options in {
        "if-i-xl": _IF_I | {"model_channels": 704, "encoder_channels": 2816},
        "if-i-l": _IF_I | {"model_channels": 320, "encoder_channels": 1280},
        "if-i-m": _IF_I | {"model_channels": 192, "encoder_channels": 768},
        "if-ii-l": _IF_II | _IF_II_L,
        "if-ii-m": _IF_II,
    }.items()
}
"""DeepFloyd IF's U-Nets, from files that people have: under its names or Diffusers'.

These five were released, by the table of its README. Their licence is non-commercial, and has to be
agreed to where they are downloaded; nothing of theirs comes with this project. The sizes of if-i-xl
and if-ii-l are those of their public configurations; those of if-i-l and if-i-m are inferred from
their numbers of parameters, and if-ii-m has none here.
"""

SIZED_BY_SHAPES = ("if-i-l", "if-i-m", "if-ii-m")
"""Of these the file itself says the sizes, as no public source does."""

_UNRELEASED = "if-iii"

GROUPS: Mapping[str, tuple[str, ...]] = {"clip": ("clip-image", "clip-text"), "all": tuple(FILES)}
"""Names that stand for several files."""


def find(name: str) -> tuple[PublicFile, ...]:
    """The files that a name of FILES or GROUPS stands for.

    Raises:
        UserError: no file has that name.
    """
    if name not in FILES and name not in GROUPS:
        raise unknown_name("file", name, [*FILES, *GROUPS])
    return tuple(FILES[one] for one in GROUPS.get(name, (name,)))


def models() -> list[str]:
    """The names that stand for one model each; a model may be two files."""
    single = [name for name, file in FILES.items() if file.kind in ("glide", "adm", "classifier")]
    return [*single, "clip", *HELD]


def model_files(name: str) -> tuple[PublicFile, ...]:
    """The files of a model: two for CLIP, one for others.

    Raises:
        UserError: no model has that name.
    """
    if name.startswith(_UNRELEASED):
        raise UserError(
            f"there is no {name}: DeepFloyd released IF's stages I and II, and of stage III no "
            "weights; their images are 256 pixels a side"
        )
    if name not in models():
        raise unknown_name("model", name, models())
    return (HELD[name],) if name in HELD else find(name)
