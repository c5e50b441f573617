"""T5 as an encoder: from files to embeddings, and what is wrong with files."""

import hashlib
import json
import math

import encoder_toys
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from encoder_toys import CAPTIONS, MANIFEST, write_t5
from golden.load import HERE, SHARED
from refusals import refused

from glide_jax.encoders import ENCODERS, load_encoder, placing
from glide_jax.encoders.t5 import CONFIGS, config_of, table
from glide_jax.models.t5 import t5
from glide_jax.parallel import free_memory
from glide_jax.parallel.mesh import make_mesh
from glide_jax.text.t5_pieces import T5Tokenizer

LENGTH = 12
LAYOUTS = json.loads((HERE / "t5_state_dicts.json").read_text("utf-8"))
"""Name → what the reference's own code says of the encoder's state dict, as `state_dicts.json`."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_t5(tmp_path_factory.mktemp("t5") / "t5-tiny")


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder("t5", folder, dtype="float32")


def layout_of(config):
    return placing.Layout(table(config), ignored="")


def test_a_caption_is_its_pieces_then_the_end_then_padding(encoder):
    """The embeddings are those of the model itself, called on these tokens."""
    pieces = T5Tokenizer(encoder_toys.spiece())
    rows = [[*pieces.encode(caption)[: LENGTH - 1], 1] for caption in (*CAPTIONS, "")]
    tokens = np.array([row + [0] * (LENGTH - len(row)) for row in rows])
    config = config_of(MANIFEST["options"])
    model, places = t5(config, dtype="float32"), layout_of(config)
    arrays = encoder_toys.t5_arrays()
    params = {
        path: jnp.asarray(rule.from_torch(arrays[key]))
        for key, (path, rule) in places.places(model.shapes).items()
    }
    mask = np.arange(LENGTH)[None] < np.array([len(row) for row in rows])[:, None]
    expected = jax.jit(model.apply)(params, tokens, mask)
    found = encoder.encode((*CAPTIONS, ""), LENGTH)
    np.testing.assert_allclose(found.embedding, expected, atol=1e-5)
    np.testing.assert_array_equal(found.mask, mask)
    np.testing.assert_array_equal(found.mask.sum(-1)[-1], 1)
    long = [len(pieces.encode(caption)) >= LENGTH for caption in (*CAPTIONS, "")]
    np.testing.assert_array_equal(found.cut, long)
    assert any(long)
    assert not all(long)
    assert encoder.width == found.embedding.shape[-1] == config.width
    assert isinstance(found.embedding, np.ndarray)


def test_a_caption_does_not_depend_on_its_neighbours_or_their_number(encoder):
    many = [*CAPTIONS, "", *CAPTIONS, "a dog", ""]
    together = encoder.encode(many, LENGTH)
    for i, caption in enumerate(many):
        alone = encoder.encode([caption], LENGTH)
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_array_equal(a[0], b[i])
    assert encoder.encode([], LENGTH).embedding.shape == (0, LENGTH, encoder.width)
    assert encoder.encode([], LENGTH).embedding.dtype == encoder.dtype == np.float32


def test_captions_and_their_number_compile_nothing(encoder):
    encoder.encode(CAPTIONS, 7)
    before = encoder._apply._cache_size()
    encoder.encode(["another", *CAPTIONS, *CAPTIONS], 7)
    encoder.encode([""], 7)
    assert encoder._apply._cache_size() == before


@pytest.mark.parametrize("fsdp", [1, 4])
def test_a_mesh_changes_nothing(folder, encoder, fsdp, monkeypatch):
    monkeypatch.setattr("glide_jax.parallel.mesh.SMALL", 0)
    split = load_encoder("t5", folder, dtype="float32", mesh=make_mesh(fsdp=fsdp))
    kernel = split._params["blocks.0.mlp_in.kernel"]
    assert len(kernel.sharding.device_set) == 8
    assert kernel.addressable_shards[0].data.size == kernel.size // fsdp
    found, expected = (e.encode(CAPTIONS, LENGTH) for e in (split, encoder))
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-5)
    assert split.fingerprint == encoder.fingerprint


def test_bfloat16_comes_out_as_bfloat16(folder, encoder):
    half = load_encoder("t5", folder, dtype="bfloat16")
    assert {p.dtype for p in half._params.values()} == {jnp.dtype("bfloat16")}
    found = half.encode(CAPTIONS, LENGTH).embedding
    assert found.dtype == jnp.bfloat16
    expected = encoder.encode(CAPTIONS, LENGTH).embedding
    error = np.abs(found.astype(np.float32) - expected)
    assert error.mean() < 0.05 * np.abs(expected).mean()
    assert half.fingerprint == encoder.fingerprint


def test_what_has_been_released_holds_nothing_and_encodes_nothing(folder):
    encoder = load_encoder("t5", folder, dtype="float32")
    held = list(encoder._params.values())
    encoder.encode(CAPTIONS, LENGTH)
    encoder.release()
    assert all(array.is_deleted() for array in held)
    with pytest.raises(ValueError, match="released"):
        encoder.encode(CAPTIONS, LENGTH)
    encoder.release()


def test_the_fingerprint_is_of_weights_and_tokenizer_however_they_are_stored(
    folder, encoder, tmp_path
):
    arrays = encoder_toys.t5_arrays()
    sharded = write_t5(tmp_path / "sharded")
    (sharded / "model.safetensors").unlink()
    keys = sorted(arrays)
    for i, part in enumerate([keys[:9], keys[9:]], 1):
        name = f"model-0000{i}-of-00002.safetensors"
        safetensors.numpy.save_file({k: arrays[k] for k in part}, sharded / name)
    assert load_encoder("t5", sharded, dtype="float32").fingerprint == encoder.fingerprint

    changed = arrays | {"encoder.final_layer_norm.weight": np.ones(32, np.float32)}
    others = [write_t5(tmp_path / "weights", changed), write_t5(tmp_path / "pieces")]
    (others[1] / "spiece.model").write_bytes(encoder_toys.spiece(CAPTIONS[:2]))
    found = {load_encoder("t5", f, dtype="float32").fingerprint for f in others}
    assert len(found | {encoder.fingerprint}) == 3


def test_pytorch_s_shards_are_the_same_encoder(encoder, tmp_path):
    torch = pytest.importorskip("torch")
    folder, arrays = write_t5(tmp_path / "bin"), encoder_toys.t5_arrays()
    (folder / "model.safetensors").unlink()
    keys = sorted(arrays)
    for i, part in enumerate([keys[:9], keys[9:]], 1):
        tensors = {k: torch.from_numpy(arrays[k]) for k in part}
        torch.save(tensors, folder / f"pytorch_model-0000{i}-of-00002.bin")
    found = load_encoder("t5", folder, dtype="float32")
    assert found.fingerprint == encoder.fingerprint
    ours, theirs = (e.encode(CAPTIONS, LENGTH).embedding for e in (found, encoder))
    np.testing.assert_array_equal(ours, theirs)


def test_large_arrays_are_sampled_at_the_same_elements_whatever_the_piece(
    folder, encoder, monkeypatch
):
    monkeypatch.setattr(placing, "SAMPLED", 100)
    sampled = load_encoder("t5", folder, dtype="float32").fingerprint
    assert sampled != encoder.fingerprint
    monkeypatch.setattr("glide_jax.interop.weights.PIECE_BYTES", 28)
    assert load_encoder("t5", folder, dtype="float32").fingerprint == sampled


def test_a_complete_t5_s_decoder_is_ignored_and_the_table_has_two_names(encoder, tmp_path):
    arrays = encoder_toys.t5_arrays()
    arrays |= {
        "decoder.block.0.layer.0.layer_norm.weight": np.ones(32, np.float32),
        "lm_head.weight": np.ones((120, 32), np.float32),
        "encoder.embed_tokens.weight": arrays["shared.weight"],
    }
    both = load_encoder("t5", write_t5(tmp_path / "both", arrays), dtype="float32")
    del arrays["shared.weight"]
    one = load_encoder("t5", write_t5(tmp_path / "one", arrays), dtype="float32")
    assert encoder.fingerprint == both.fingerprint == one.fingerprint


def test_float16_files_are_computed_in_another_dtype(tmp_path):
    halves = {k: v.astype(np.float16) for k, v in encoder_toys.t5_arrays().items()}
    folder = write_t5(tmp_path / "half", halves)
    refused(lambda: load_encoder("t5", folder, dtype="float16"), "float32 or bfloat16")
    found = load_encoder("t5", folder, dtype="float32").encode(CAPTIONS, LENGTH)
    assert np.isfinite(found.embedding).all()


def test_names():
    assert {"t5-v1_1-xxl", "t5-small", "t5", "minilm"} <= ENCODERS.keys()
    refused(lambda: load_encoder("t5-xxl", None, dtype="float32"), "did you mean 't5-v1_1-xxl'?")
    refused(lambda: load_encoder("t5-v1_1-xxl", None, dtype="float32"), "spiece.model", "path")


def test_another_size_or_model_is_refused_in_one_line(folder, tmp_path):
    message = refused(lambda: load_encoder("t5-v1_1-small", folder, dtype="float32"), "another")
    assert "layer_norm.weight is (32,), not (512,)" in message
    assert len(message) < 400
    arrays = encoder_toys.t5_arrays() | {"unheard.of": np.ones(3, np.float32)}
    odd = write_t5(tmp_path / "odd", arrays)
    refused(lambda: load_encoder("t5", odd, dtype="float32"), "unknown unheard.of")
    del arrays["encoder.final_layer_norm.weight"], arrays["unheard.of"]
    less = write_t5(tmp_path / "less", arrays)
    refused(lambda: load_encoder("t5", less, dtype="float32"), "no encoder.final_layer_norm.weight")


def test_a_missing_shard_is_named_before_anything_is_read(tmp_path, monkeypatch):
    folder = write_t5(tmp_path / "t5")
    (folder / "model.safetensors").rename(folder / "model-00002-of-00002.safetensors")
    monkeypatch.setattr(np, "fromfile", None)
    refused(lambda: load_encoder("t5", folder, dtype="float32"), "model-00001-of-00002.safetensors")


@pytest.mark.parametrize("file", ["spiece.model", "config.json"])
@pytest.mark.parametrize("content", [None, b"", b"\x00nonsense"])
def test_a_tokenizer_or_config_that_is_missing_or_damaged(tmp_path, file, content):
    folder = write_t5(tmp_path / "t5")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    refused(lambda: load_encoder("t5", folder, dtype="float32"), file)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"feed_forward_proj": "gated-silu"}, "gated-silu"),
        ({"layer_norm_epsilon": 1e-5}, "1e-06"),
        ({"d_kv": None}, "d_kv"),
    ],
)
def test_a_t5_of_another_kind(tmp_path, change, word):
    folder = write_t5(tmp_path / "t5")
    options = {k: v for k, v in (MANIFEST["options"] | change).items() if v is not None}
    (folder / "config.json").write_text(json.dumps(options))
    refused(lambda: load_encoder("t5", folder, dtype="float32"), "config.json", word)


def test_a_tokenizer_of_another_model(tmp_path):
    folder = write_t5(tmp_path / "t5")
    (folder / "spiece.model").write_bytes(encoder_toys.spiece(pad_id=3, unk_id=0, bos_id=2))
    refused(lambda: load_encoder("t5", folder, dtype="float32"), "spiece.model", "another model's")


def test_too_little_memory_is_said_before_anything_is_read(folder, monkeypatch):
    monkeypatch.setattr(np, "fromfile", None)
    monkeypatch.setattr(free_memory, "free_host_bytes", lambda: 100)
    refused(lambda: load_encoder("t5", folder, dtype="float32"), "GiB", "bfloat16")


@pytest.mark.parametrize("name", LAYOUTS)
def test_published_sizes_have_the_reference_s_keys_and_shapes(name):
    model = t5(CONFIGS[name], dtype="bfloat16")
    shapes = layout_of(model.config).reference_shapes(model.shapes)
    lines = sorted(f"{key} {'x'.join(map(str, shape))}" for key, shape in shapes.items())
    assert LAYOUTS[name] == {
        "tensors": len(shapes),
        "parameters": sum(map(math.prod, shapes.values())),
        "digest": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }
    manifest = SHARED / "imagen" / f"{name.replace('-', '_')}.manifest.json"
    if manifest.exists():
        expected = json.loads(manifest.read_text("utf-8"))
        assert {k: list(v) for k, v in shapes.items()} == expected["state_dict"]
        assert config_of(expected["options"]) == model.config
