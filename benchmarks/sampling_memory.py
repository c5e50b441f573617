"""The memory that sampling a config's stage needs on each device, by XLA; nothing is run.

    python benchmarks/sampling_memory.py imagen_1024
    python benchmarks/sampling_memory.py imagen_1024 --dtype float32 --tokens 256 --images 4
    python benchmarks/sampling_memory.py imagen_1024 --topology v5e-4

Of a TPU, which need not be here, its own compiler says it (`pip install 'glide_jax[tpu]'`); without
--topology XLA's for this CPU, which keeps some values in float32 that others keep in bfloat16. The
stage must be one that reads text embeddings. Weights are in the dtype that the model computes in.
"""

import argparse
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from glide_jax import config
from glide_jax.config import DenoiserStageConfig, FrozenTextConfig, ImagenConfig
from glide_jax.models.families import model_of
from glide_jax.parallel.mesh import batch_sharding, make_mesh, replicated
from glide_jax.planning import compiling
from glide_jax.planning.topologies import topology_of
from glide_jax.sampling.guidance import GuidanceInputs, transforms_of
from glide_jax.sampling.program import SampleArguments, StaticArguments, program_cache
from glide_jax.types import Condition

GIB = 2**30


def main() -> None:
    """Compile and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("--stage", help="default: the first")
    parser.add_argument("--dtype", choices=config.DTYPES, default="bfloat16")
    parser.add_argument("--tokens", type=int, help="of the prompts; default: the config's")
    parser.add_argument("--images", type=int, default=1, help="of a batch, on each device")
    parser.add_argument("--steps", help="default: the config's")
    parser.add_argument("--topology", help="such as v5e-4; default: this CPU")
    arguments = parser.parse_args()
    experiment = config.experiment_from(config.load_config(arguments.config))
    name = arguments.stage or next(iter(experiment.stages))
    stage, text = experiment.stages[name], experiment.text
    assert isinstance(stage, DenoiserStageConfig)
    assert isinstance(text, FrozenTextConfig)
    model = dataclasses.replace(stage.model, dtype=arguments.dtype)
    sampling = dataclasses.replace(
        stage.sampling, steps=arguments.steps or stage.sampling.steps, guidance_scale=2.0
    )
    stage = dataclasses.replace(stage, model=model, sampling=sampling)
    tokens = arguments.tokens or text.length
    mesh = None
    if arguments.topology:
        mesh = make_mesh(1, compiling.tpu_devices(topology_of(arguments.topology)))
    devices = mesh.size if mesh else 1
    for part, lowered in lowered_parts(stage, arguments.images * devices, tokens, mesh):
        compiled = of_tpu(lowered) if mesh else of_cpu(lowered)
        kept, made = (x / GIB for x in compiled)
        print(
            f"{name} in {arguments.dtype}, {arguments.images} images a device, {tokens} tokens, "
            f"{sampling.steps} steps, {arguments.topology or 'CPU'}: {part}: {kept:.2f} GiB of "
            f"weights and other arguments, {made:.2f} GiB beside them, {kept + made:.2f} in all",
            flush=True,
        )


def lowered_parts(stage: Any, images: int, tokens: int, mesh: Mesh | None):
    """(what, the lowered program) of the two that a stage's sampling consists of."""
    model = model_of(stage, vocab_size=0, text_length=tokens)
    static = StaticArguments(stage.sampling.sampler, stage.sampling.steps, None, mesh)
    program: Any = program_cache(model, stage.diffusion)(static)
    params = {
        path: jax.ShapeDtypeStruct(leaf.shape, stage.model.dtype)
        for path, leaf in model.shapes.items()
    }
    wanted = jax.eval_shape(lambda: sample_arguments(stage, images, tokens))
    params, wanted = placed(params, mesh), placed(wanted, mesh)
    constants, carry = jax.eval_shape(program.begin, params, wanted)
    yield "before the steps", program.begin.lower(params, wanted)
    index = placed(jax.eval_shape(lambda: jnp.int32(0)), mesh)
    constants = placed(constants, mesh, images)
    carry = placed(carry, mesh, images)
    yield "the steps", program.advance.lower(params, constants, carry, index, index)


def sample_arguments(stage: Any, images: int, tokens: int) -> SampleArguments:
    """Those of guided prompts."""
    model: ImagenConfig = stage.model

    def condition(rows: int, *, low_res: bool) -> Condition:
        side = model.low_res_size
        return Condition(
            text_embedding=jnp.zeros((rows, tokens, model.encoder_width), jnp.bfloat16),
            mask=jnp.ones((rows, tokens), bool),
            low_res=jnp.zeros((rows, side, side, 3)) if low_res and side else None,
        )

    sampling = stage.sampling
    scales = jnp.full(images, sampling.guidance_scale)
    return SampleArguments(
        seed_key=jax.random.key(0),
        indices=jnp.arange(images),
        condition=condition(images, low_res=True),
        null_condition=condition(1, low_res=False),
        guidance=transforms_of(GuidanceInputs(sampling, scales, None, ())),
        eta=jnp.float32(sampling.eta),
        temperature=jnp.float32(sampling.temperature),
        aug_level=jnp.float32(sampling.aug_level),
        known=None,
        initial=None,
        caching=None,
    )


def placed(tree: Any, mesh: Mesh | None, images: int = 0) -> Any:
    """The shapes on the devices of a mesh: rows of images split over them, all else on each."""
    if mesh is None:
        return tree
    where: Mesh = mesh

    def on_mesh(x: Any) -> jax.ShapeDtypeStruct:
        split = images and x.ndim == 4 and x.shape[0] % images == 0
        sharding = batch_sharding(where) if split else replicated(where)
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    return jax.tree.map(on_mesh, tree)


def of_tpu(lowered: jax.stages.Lowered) -> tuple[int, int]:
    """(bytes of arguments, of what is made) by the TPU's compiler."""
    found = compiling.compile_for_tpu(lowered, lambda line: print(line, flush=True))
    return found.arguments, found.temporaries


def of_cpu(lowered: jax.stages.Lowered) -> tuple[int, int]:
    """The same by XLA for this CPU, scheduled to save memory as an accelerator's."""
    options = {**compiling.MEMORY_SCHEDULER, "xla_backend_optimization_level": 0}
    options |= {"xla_llvm_disable_expensive_passes": True}
    memory: Any = lowered.compile(compiler_options=options).memory_analysis()
    made = memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return memory.argument_size_in_bytes, math.ceil(made)


if __name__ == "__main__":
    main()
