"""Values that make no sense are refused, each by one line that names the key."""

import json

import pytest
from config_toys import complaint, experiment, of_family

from glide_jax import config


@pytest.mark.parametrize(
    ("section", "override", "expected"),
    [
        ("training", "batch_size=0", "batch_size must be 1 or more, not 0"),
        ("training", "learning_rate=0", "learning_rate must be above 0, not 0.0"),
        ("training", "caption_dropout=1.1", "caption_dropout must be from 0 to 1"),
        ("training", "max_aug_level=-1", "max_aug_level must be 0 or more, not -1.0"),
        ("training", "sample_every_steps=0", "sample_every_steps must be 1 or more, not 0"),
        ("training", "lr_decay=linear", "lr_decay must be one of constant, cosine"),
        ("diffusion", "num_steps=0", "num_steps must be 1 or more, not 0"),
        ("diffusion", "vlb_weight=-1", "vlb_weight must be 0 or more, not -1.0"),
        ("model", "dtype=float16", "dtype must be one of float32, bfloat16, not 'floa"),
        ("model", "channels=40", "norm_groups must be a divisor of every level's channels"),
        ("model", "channel_mult=(0.3,)", "channel_mult must be such that each times cha"),
        ("model", "channel_mult=()", "channel_mult must be one or more positive num"),
        ("model", "image_size=36", "image_size must be divisible by 8, as channel_m"),
        ("model", "attention_resolutions=7", "attention_resolutions must be among the"),
        ("model", "head_channels=0", "head_channels must be 1 or more, not 0"),
        ("model", "head_channels=128", "head_channels must be a divisor of level 16's"),
        ("model", "text_heads=3", "text_width must be divisible by text_heads, 3, not"),
    ],
)
def test_values_that_make_no_sense(section, override, expected):
    section = f"stages.base.{section}"
    assert complaint(f"{section}.{override}").startswith(f"config.{section}.{expected}")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("stages.upsampler.model.low_res_size=96", "low_res_size must be 0 or a"),
        ("stages.upsampler.model.low_res_size=256", "low_res_size must be 0 or a"),
        ("stages.upsampler.model.low_res_size=32", "low_res_size must be stages.base.model."),
        ("stages.upsampler.model.low_res_size=0", "low_res_size must be stages.base.model."),
        ("stages.upsampler.sampling.batch_size=0", "batch_size must be 1 or "),
        ("text.vocab_size=0", "vocab_size must be 2 or more, not 0"),
        ("text.length=0", "length must be 1 or more, not 0"),
        ("text.length=100000000", "length must be below 65,536, not 100000000"),
        ("seed=-1", "seed must be 0 or more, not -1"),
        (f"seed={2**62}", "seed must be below 4,611,686,018,427,387,904, not 46"),
        ("cpu_devices=0", "cpu_devices must be 1 or more, not 0"),
        ("cpu_devices=5000", "cpu_devices must be below 1,025, not 5000"),
        ("data.workers=100000", "workers must be below 1,025, not 100000"),
        ("stages.base.model.dropout=1", "dropout must be from 0 to below 1, not 1.0"),
        ("stages.base.training.num_steps=99999999999", "num_steps must be below 2,147,483,648"),
        ("evaluation.num_captions=0", "num_captions must be 1 or more, not 0"),
        ("monitoring.profile_steps=3", "profile_steps must be (), or the first and the last"),
    ],
)
def test_values_that_make_no_sense_elsewhere(override, expected):
    section = override.partition("=")[0].rpartition(".")[0]
    key = f"config.{section}." if section else "config."
    assert complaint(override).startswith(f"{key}{expected}")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("eta=1.5", "eta must be from 0 to 1, not 1.5"),
        ("guidance_scale=-1", "guidance_scale must be 0 or more, not -1.0"),
        ("temperature=-1", "temperature must be 0 or more, not -1.0"),
        ("aug_level=-1", "aug_level must be 0 or more, not -1.0"),
        ("resamples=0", "resamples must be 1 or more, not 0"),
        ("cache_interval=0", "cache_interval must be 1 or more, not 0"),
        ("cache_interval=1.5", "cache_interval must be an integer, not 1.5"),
        ("cache_interval=10000000000", "cache_interval must be below 2,147,483,648, not 100"),
        ("guidance_scale=1e300", "guidance_scale must be below 2,147,483,648, not 1e+300"),
        ("batch_size=0", "batch_size must be 1 or more, not 0"),
        ("dynamic_threshold=0", "dynamic_threshold must be none, or a quantile above 0"),
        ("dynamic_threshold=1.1", "dynamic_threshold must be none, or a quantile above 0"),
        ("dynamic_threshold=high", "dynamic_threshold must be a number, not 'high'"),
        ("threshold_cap=0.9", "threshold_cap must be none, or a number of 1 or more, not 0.9"),
        ("guidance_interval=0.5", "guidance_interval must be two rising numbers from 0 to 1"),
        ("guidance_interval=0.8,0.2", "guidance_interval must be two rising numbers from 0 to 1"),
        ("guidance_interval=0.5,0.5", "guidance_interval must be two rising numbers from 0 to 1"),
        ("guidance_interval=0.2,1.5", "guidance_interval must be two rising numbers from 0 to 1"),
        ("guidance_interval=()", "guidance_interval must be two rising numbers from 0 to 1"),
    ],
)
def test_sampling_that_makes_no_sense(override, expected):
    override = f"stages.upsampler.sampling.{override}"
    assert complaint(override).startswith(f"config.stages.upsampler.sampling.{expected}")


@pytest.mark.parametrize(
    ("override", "blocks", "each"),
    [("2", 2, (2, 2)), ("3,1", (3, 1), (3, 1)), ("(3, 1)", (3, 1), (3, 1))],
)
def test_blocks_are_counted_for_all_levels_or_for_each(override, blocks, each):
    e = of_family("imagen", f"stages.base.model.num_res_blocks={override}")
    assert e.first_stage.model.num_res_blocks == blocks
    assert e.first_stage.model.level_blocks == each
    assert config.from_dict(json.loads(json.dumps(config.to_dict(e)))) == e


def test_sampling_settings_have_their_types():
    sampling = experiment(
        "stages.base.sampling.guidance_interval=0,0.6",
        "stages.base.sampling.dynamic_threshold=0.995",
        "stages.base.sampling.resamples=3",
        "stages.base.sampling.inpaint_sampler=ddim",
        "stages.upsampler.sampling.dynamic_threshold=1",
        "stages.upsampler.sampling.dynamic_threshold=none",
    ).stages
    base = sampling["base"].sampling
    assert base.guidance_interval == (0.0, 0.6)
    assert base.dynamic_threshold == 0.995
    assert base.resamples == 3
    assert base.inpaint_sampler == "ddim"
    assert sampling["upsampler"].sampling.dynamic_threshold is None


@pytest.mark.parametrize(
    ("family", "override", "expected"),
    [
        ("adm", "num_heads=4", "head_channels must be 0 where num_heads is not"),
        ("adm", "num_heads=-1", "num_heads must be 0 or more, not -1"),
        ("adm", "attention_order=new", "attention_order must be one of by_he"),
        ("adm", "num_classes=-1", "num_classes must be 0 or more, not -1"),
        ("adm", "low_res_size=16", "low_res_size must be 0 or a proper divi"),
        ("adm", "head_channels=24", "head_channels must be a divisor of lev"),
        ("adm", "aug_level_conditioning=true", "aug_level_conditioning must be False where low"),
        (
            "adm",
            "guidance_range=1,4",
            "guidance_range must be (): guidance leads away from the null",
        ),
        ("imagen", "guidance_range=4,1", "guidance_range must be (), or two rising scales"),
        ("imagen", "layout=plain", "layout must be one of adm, efficient, not 'plain'"),
        ("imagen", "skip_scale=all", "skip_scale must be one of none, residual, residual_an"),
        ("imagen", "pool_heads=5", "encoder_width must be divisible by pool_heads, 5, not 24"),
        ("imagen", "text_norm=group", "text_mask must be attended where text_norm is group"),
        ("imagen", "num_res_blocks=1,2,3", "num_res_blocks must be 1 or more, or a tuple of 2"),
        ("imagen", "num_res_blocks=0", "num_res_blocks must be 1 or more, or a tuple of 2"),
        ("imagen", "num_res_blocks=few", "num_res_blocks must be an integer, not 'few'"),
        ("imagen", "self_attention_resolutions=16", "self_attention_resolutions must be among"),
        ("imagen", "layout=efficient", "resblock_updown must be False where layout is effic"),
        ("imagen", "time_width=0", "time_width must be 1 or more, not 0"),
        ("classifier", "num_classes=1", "num_classes must be 2 or more, not 1"),
        ("clip", "image.patch_size=3", "image.image_size must be divisible by"),
        ("clip", "image.heads=3", "image.width must be divisible by heads, 3"),
        ("clip", "text.heads=3", "text.width must be divisible by heads, 3"),
        ("clip", "text.layers=0", "text.layers must be 1 or more, not 0"),
        ("clip", "logit_scale=0", "logit_scale must be above 0, and 100 at most, not 0.0"),
        ("clip", "dtype=half", "dtype must be one of float32, bfloat16"),
    ],
)
def test_values_that_make_no_sense_in_their_family(family, override, expected):
    line = complaint(f"stages.base.model.{override}", family=family)
    assert line.startswith(f"config.stages.base.model.{expected}")


def test_labels_are_of_the_model_s_classes():
    assert of_family("adm", "labels=0,9").labels == (0, 9)
    line = complaint("labels=0,10", family="adm")
    assert line.startswith("config.labels must be from 0 to 9 each")
    assert complaint("labels=0").startswith("config.labels must be left out: model.family=glide")


def test_the_middle_block_attends_wherever_the_others_do():
    line = complaint(
        "stages.base.model.attention_resolutions=()",
        "stages.base.model.head_channels=192",
        "stages.base.model.channels=64",
    )
    assert line.endswith("a divisor of level 8's 256 channels, not 192")


def test_heads_are_counted_by_their_channels_or_given():
    model = of_family("adm").first_stage.model
    assert [model.num_heads_of(width) for width in (32, 64)] == [2, 4]
    heads = "stages.base.model.head_channels=0", "stages.base.model.num_heads=4"
    model = of_family("adm", *heads).first_stage.model
    assert [model.num_heads_of(width) for width in (32, 64)] == [4, 4]
    line = complaint(heads[0], "stages.base.model.num_heads=5", family="adm")
    assert (
        line == "config.stages.base.model.num_heads must be a divisor of level 8's 64 channels, "
        "not 5"
    )
