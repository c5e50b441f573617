"""Values that make no sense are refused, each by one line that names the key."""

import pytest
from config_toys import complaint, of_family


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.batch_size=0", "config.training.batch_size must be 1 or more, not 0"),
        ("training.learning_rate=0", "config.training.learning_rate must be above 0, not 0.0"),
        ("training.caption_dropout=1.1", "config.training.caption_dropout must be from 0 to 1"),
        ("training.lr_decay=linear", "config.training.lr_decay must be one of constant, cosine"),
        ("diffusion.prediction=noise", "config.diffusion.prediction must be one of eps, x_0, v"),
        ("diffusion.weighting=snr", "config.diffusion.weighting must be one of uniform, min_snr"),
        ("diffusion.schedule=cosine", "config.diffusion.schedule must be one of squared_cosine"),
        ("model.dtype=float16", "config.model.dtype must be one of float32, bfloat16, not 'floa"),
        (
            "model.channels=40",
            "config.model.norm_groups must be a divisor of every level's channels",
        ),
        ("model.channel_mult=(0.3,)", "config.model.channel_mult must be such that each times cha"),
        ("model.channel_mult=()", "config.model.channel_mult must be one or more positive num"),
        ("model.image_size=36", "config.model.image_size must be divisible by 8, as channel_m"),
        ("model.attention_resolutions=7", "config.model.attention_resolutions must be among the"),
        ("model.head_channels=0", "config.model.head_channels must be 1 or more, not 0"),
        ("model.head_channels=128", "config.model.head_channels must be a divisor of level 16's"),
        ("model.text_heads=3", "config.model.text_width must be divisible by text_heads, 3, not"),
        ("upsampler.model.low_res_size=96", "config.upsampler.model.low_res_size must be 0 or a"),
        ("upsampler.model.low_res_size=256", "config.upsampler.model.low_res_size must be 0 or a"),
        ("upsampler.model.low_res_size=32", "config.upsampler.model.low_res_size must be model."),
        ("upsampler.model.low_res_size=0", "config.upsampler.model.low_res_size must be model."),
        ("upsampler.sampling.batch_size=0", "config.upsampler.sampling.batch_size must be 1 or "),
        ("text.vocab_size=0", "config.text.vocab_size must be 2 or more, not 0"),
    ],
)
def test_values_that_make_no_sense(override, expected):
    assert complaint(override).startswith(expected)


@pytest.mark.parametrize(
    ("family", "override", "expected"),
    [
        ("adm", "model.num_heads=4", "config.model.head_channels must be 0 where num_heads is not"),
        ("adm", "model.num_heads=-1", "config.model.num_heads must be 0 or more, not -1"),
        ("adm", "model.attention_order=new", "config.model.attention_order must be one of by_he"),
        ("adm", "model.num_classes=-1", "config.model.num_classes must be 0 or more, not -1"),
        ("adm", "model.low_res_size=16", "config.model.low_res_size must be 0 or a proper divi"),
        ("adm", "model.head_channels=24", "config.model.head_channels must be a divisor of lev"),
        ("classifier", "model.num_classes=1", "config.model.num_classes must be 2 or more, not 1"),
        ("clip", "model.image.patch_size=3", "config.model.image.image_size must be divisible by"),
        ("clip", "model.image.heads=3", "config.model.image.width must be divisible by heads, 3"),
        ("clip", "model.text.heads=3", "config.model.text.width must be divisible by heads, 3"),
        ("clip", "model.text.layers=0", "config.model.text.layers must be 1 or more, not 0"),
        ("clip", "model.dtype=half", "config.model.dtype must be one of float32, bfloat16"),
    ],
)
def test_values_that_make_no_sense_in_their_family(family, override, expected):
    assert complaint(override, family=family).startswith(expected)


def test_the_middle_block_attends_wherever_the_others_do():
    line = complaint(
        "model.attention_resolutions=()", "model.head_channels=192", "model.channels=64"
    )
    assert line.endswith("a divisor of level 8's 256 channels, not 192")


def test_heads_are_counted_by_their_channels_or_given():
    model = of_family("adm").model
    assert [model.num_heads_of(width) for width in (32, 64)] == [2, 4]
    model = of_family("adm", "model.head_channels=0", "model.num_heads=4").model
    assert [model.num_heads_of(width) for width in (32, 64)] == [4, 4]
    line = complaint("model.head_channels=0", "model.num_heads=5", family="adm")
    assert line == "config.model.num_heads must be a divisor of level 8's 64 channels, not 5"
