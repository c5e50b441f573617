"""Fuzzed files that are no data: prompts, configs, weights."""

import argparse
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import tiny
from stress.fuzz_data import Lost, mutated, pick, words

from glide_jax import config, text
from glide_jax.commands import sampling_options
from glide_jax.config.reading import known_keys
from glide_jax.interop import files
from glide_jax.interop.importing import import_checkpoint
from glide_jax.interop.info import describe
from glide_jax.interop.sidecar import sidecar_path
from glide_jax.models.families import model_of
from glide_jax.registries import check_names
from glide_jax.sampling.output import slug
from glide_jax.sampling.program import make_steps
from glide_jax.text.sentencepiece import SentencePieceTokenizer

VALUES = (
    *("", "0", "-1", "1", "2", "3", "7", "64", "0.5", "1e9", "1e-9", "nan", "inf", "-inf", "None"),
    *("true", "[]", "()", "(1, 2)", "(1, 'a')", "'a'", '"', "'", "{}", "{'a': 1}", "ddim", "é"),
    *("(((((((((", "9" * 400, "a" * 300, "1,2", "0x10", "1_0", "\x00", "\ud800", "lambda: 0"),
)
JUNK = (
    *(None, "", 0, -1, 1.5, float("nan"), True, [], {}, "ddim", [1, 2], {"a": 1}, 10**30),
    "\ud800",
)
_TOKENIZERS: list[SentencePieceTokenizer] = []


def tokenizer() -> Any:
    """A small one, trained once."""
    if not _TOKENIZERS:
        _TOKENIZERS.append(tiny.tokenizer())
    return _TOKENIZERS[0]


def prompts(rng: np.random.Generator, folder: Path) -> None:
    """A file of prompts, and captions to train a tokenizer on; then their tokens and file names."""
    path = folder / "prompts.txt"
    count = int(rng.integers(0, 20))
    lines = [words(rng, "\r\n").strip() for _ in range(count)]
    content = pick(rng, ("\n", "\r\n", "\r")).join(lines).encode()
    is_damaged = rng.random() < 0.4
    path.write_bytes(mutated(rng, content) if is_damaged else content)
    given = argparse.Namespace(prompts=[], prompts_file=path)
    found = sampling_options.prompts_of(given)
    if not is_damaged and found != [line for line in lines if line]:
        raise Lost(f"{found} instead of {lines}")
    own = text.train("sentencepiece", found, int(rng.integers(2, 600)))
    for kind in (tokenizer(), own):
        batch = text.tokenize(kind, found, int(rng.integers(1, 9)))
        if len(batch.tokens) != len(found) or batch.tokens.max(initial=0) >= kind.vocab_size:
            raise Lost(f"{batch.tokens.shape}, ids up to {batch.tokens.max(initial=0)}")
    for prompt in found:
        (folder / f"{slug(prompt)}-{2**63 - 1}-0.png").write_bytes(b"")


def configs(rng: np.random.Generator, folder: Path) -> None:
    """An experiment with keys that are missing, unknown or of odd values."""
    way = pick(rng, (0, 1, 1, 1, 1, 2))
    if way == 0:
        source = (tiny.CONFIGS / "quickstart.py").read_text(encoding="utf-8")
        path = folder / "mine.py"
        # Cut only: what is flipped might be valid Python that does anything.
        path.write_bytes(source.encode()[: rng.integers(len(source))])
        experiment = config.experiment_from(config.load_config(path))
    elif way == 1:
        loaded = tiny.experiment()
        keys = known_keys(config.to_dict(loaded))
        keys = {key: hint for key, hint in keys.items() if "text_pretraining" not in key}
        changes = [_override(rng, keys) for _ in range(pick(rng, (1, 1, 1, 2, 3)))]
        experiment = config.with_overrides(loaded, changes)
    else:
        values = json.loads(json.dumps(config.to_dict(tiny.experiment())))
        for _ in range(rng.integers(1, 4)):
            _damage(rng, values)
        experiment = config.from_dict(values)
    check_names(experiment)
    _build(experiment)


def _override(rng, keys: dict[str, Any]) -> str:
    key = pick(rng, list(keys))
    hint = str(keys[key])
    if rng.random() < 0.1:
        key = mutated(rng, key.encode()).decode("utf-8", "replace")
    if rng.random() < 0.2:
        return f"{key}={pick(rng, VALUES)}"
    number = int(rng.integers(0, 33))
    if "tuple" in hint:
        return f"{key}={tuple(rng.integers(0, 9, rng.integers(4)).tolist())}"
    if "float" in hint:
        return f"{key}={pick(rng, (number, number / 32, -number, 1e-3 * number))}"
    return f"{key}={number if 'int' in hint else pick(rng, VALUES)}"


def _damage(rng, section: dict[str, Any]) -> None:
    key = pick(rng, list(section)) if section else "key"
    value = section.get(key)
    if isinstance(value, dict) and rng.random() < 0.8:
        _damage(rng, value)
    elif rng.random() < 0.3:
        section.pop(key, None)
    elif rng.random() < 0.2:
        section[pick(rng, ("key", "", "a.b", "é", key.upper()))] = value
    else:
        section[key] = copy.deepcopy(pick(rng, JUNK))


def _build(experiment: config.Experiment) -> None:
    """Build what training and sampling would, by shapes alone, if it is small."""
    for stage in experiment.stages.values():
        numbers = [n for n in _numbers(config.to_dict(experiment)["stages"]) if abs(n) > 10_000]
        if numbers:
            return  # it would only take long
        model_of(stage, vocab_size=300, text_length=experiment.text_length)
        if isinstance(stage, config.DenoiserStageConfig):
            for sampler in (stage.sampling.sampler, stage.sampling.inpaint_sampler):
                make_steps(stage.diffusion, sampler, stage.sampling.steps)


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for part in value.values() for n in _numbers(part)]
    if isinstance(value, list | tuple):
        return [n for part in value for n in _numbers(part)]
    return [value] if isinstance(value, int | float) else []


def weights(rng: np.random.Generator, folder: Path) -> None:
    """A file of weights and the options beside it, one of them damaged."""
    ending = pick(rng, ("safetensors", "safetensors", "safetensors", "pt", "ckpt", "bin", ""))
    path = folder / f"model.{ending}" if ending else folder / "model"
    content = _exported(folder, ending)
    arrays_damaged = rng.random() < 0.6
    path.write_bytes(mutated(rng, content) if arrays_damaged else content)
    options = sidecar_path(folder / "whole.safetensors").read_bytes()
    sidecar_path(path).write_bytes(options if arrays_damaged else _bad_options(rng, options))
    actions: list[Callable[[], Any]] = [
        lambda: files.read(path),
        lambda: list(describe(path)),
        lambda: import_checkpoint([path], pick(rng, ((), ("base",))), folder / "out"),
    ]
    pick(rng, actions)()


def _bad_options(rng, options: bytes) -> bytes:
    if rng.random() < 0.5:
        return mutated(rng, options)
    values = json.loads(options)
    for _ in range(rng.integers(1, 3)):
        _damage(rng, values)
    return json.dumps(values).encode()


def _exported(folder: Path, ending: str) -> bytes:
    """The bytes of a tiny exported model; its options lie beside `whole.safetensors`."""
    from stress.fuzz_models import tiny_export

    whole = folder / "whole.safetensors"
    for path in (whole, sidecar_path(whole)):
        path.write_bytes((tiny_export() / path.name).read_bytes())
    if ending in ("pt", "ckpt", "bin", "pth"):
        try:
            import torch
        except ImportError:
            return whole.read_bytes()
        arrays = safetensors.numpy.load_file(whole)
        state = {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}
        torch.save(state, folder / "whole.pt")
        return (folder / "whole.pt").read_bytes()
    return whole.read_bytes()


KINDS = {"prompts": prompts, "configs": configs, "weights": weights}
