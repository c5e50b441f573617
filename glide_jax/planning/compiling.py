"""How much memory a program needs, by XLA: for a TPU that is not here, or for this CPU."""

import contextlib
import dataclasses
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from glide_jax.errors import UserError, one_line
from glide_jax.planning.collectives import Collectives, collectives_of
from glide_jax.planning.cost import duration
from glide_jax.planning.topologies import Topology

MEMORY_SCHEDULER: dict[str, Any] = (
    {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    if jax.__version_info__ >= (0, 10)
    else {"xla_cpu_enable_concurrency_optimized_scheduler": False}
)
"""The compiler options of a CPU's program that saves memory, as an accelerator's does."""

_LOG_EVERY_S = 60
_MEASURED_AT = (8, 16)

# Without them libtpu asks Google's metadata server, waits for it, and complains; and refuses to be
# loaded beside another process that has it, such as training on the TPU, or a second plan.
_NO_TPU_HERE = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

# Both cores of a TPU v4 or v5p work as one device; for v4 the compiler needs it spelled out.
_MEGACORE = {"v4": {"chip_config_name": "megacore"}}


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The memory that a compiled program needs on each device, in bytes, and what it sends.

    Attributes:
        arguments: of its inputs: state and batch.
        temporaries: of its intermediate values, and of the program itself.
        collectives: None: the program did not fit; `arguments` are then not known either.
    """

    arguments: int
    temporaries: int
    collectives: Collectives | None


@dataclasses.dataclass(frozen=True)
class Linear:
    """Bytes as a linear function of the images in a microbatch."""

    fixed: float
    per_image: float

    def of(self, images: int) -> float:
        """The bytes for `images` images."""
        return max(self.fixed, 0) + self.per_image * images


def tpu_devices(topology: Topology) -> Sequence[Any]:
    """The devices of a TPU slice that is not here, to compile for.

    Raises:
        UserError: libtpu, which holds the compiler, is missing or does not know the slice.
    """
    for name, value in _NO_TPU_HERE.items():
        os.environ.setdefault(name, value)
    from jax.experimental import topologies

    kind, _, _ = topology.layout.partition(":")
    try:
        found = topologies.get_topology_desc(
            platform="tpu", topology_name=topology.layout, **_MEGACORE.get(kind, {})
        )
    except (RuntimeError, ImportError) as error:
        if "not installed" in str(error) or isinstance(error, ImportError):
            raise UserError(
                "the TPU compiler is missing: pip install 'glide_jax[tpu]', or add --estimate "
                "to plan by arithmetic alone"
            ) from error
        raise UserError(
            f"the TPU compiler does not know {topology.layout}: {one_line(error)}"
        ) from error
    return found.devices


def compile_for_tpu(lowered: jax.stages.Lowered, log: Callable[[str], None]) -> Compiled:
    """Compile for a TPU, which takes minutes.

    Args:
        lowered: the program.
        log: prints a line, every minute.

    Raises:
        UserError: the compiler fails for another reason than memory.
    """
    with _logging_progress(log):
        try:
            return _of(lowered.compile())
        except jax.errors.JaxRuntimeError as error:
            needs = _bytes_needed(str(error))
            if needs is None:
                raise UserError(f"the TPU compiler fails: {one_line(error)}") from error
            return Compiled(0, needs, None)


def activations(lowered: Callable[[int], jax.stages.Lowered], log: Callable[[str], None]) -> Linear:
    """The memory for the intermediate values of a microbatch's gradients, by XLA for this CPU.

    Compiled at two sizes and taken as linear: with fewer images, values that depend on the weights
    alone would hide those that depend on the images. XLA's scheduler is set to save memory, as it
    is on accelerators. A CPU keeps some values in float32 that accelerators keep in bfloat16, so
    the result is rather too large for them.

    Args:
        lowered: number of images → the program of the gradients.
        log: prints a line, every minute.
    """
    options = {
        **MEMORY_SCHEDULER,
        # It never runs.
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    }
    with _logging_progress(log):
        compiled: list[Any] = [lowered(n).compile(compiler_options=options) for n in _MEASURED_AT]
    # Temporaries alone: without weights and gradients.
    few, more = (c.memory_analysis().temp_size_in_bytes for c in compiled)
    per_image = (more - few) / (_MEASURED_AT[1] - _MEASURED_AT[0])
    return Linear(few - per_image * _MEASURED_AT[0], per_image)


def _of(compiled: Any) -> Compiled:
    """Outputs that don't reuse donated memory count as temporaries."""
    memory = compiled.memory_analysis()
    outputs = memory.output_size_in_bytes - memory.alias_size_in_bytes
    made = memory.temp_size_in_bytes + memory.generated_code_size_in_bytes
    sent = collectives_of(compiled.as_text())
    return Compiled(memory.argument_size_in_bytes, made + outputs, sent)


def _bytes_needed(text: str) -> int | None:
    """The bytes a program would have needed, by the compiler's error; None: it is another error."""
    size = r"([\d.]+)([KMGT])"
    found = re.search(rf"Used {size} of|temporaries \({size}\)|required[^(]*\({size}\)", text)
    if not found:
        return None
    number, unit = (group for group in found.groups() if group)
    return int(float(number) * 1024 ** (" KMGT".index(unit)))


@contextlib.contextmanager
def _logging_progress(log: Callable[[str], None]) -> Iterator[None]:
    start, done = time.perf_counter(), threading.Event()

    def report() -> None:
        while not done.wait(_LOG_EVERY_S):
            log(f"  still compiling, {duration(time.perf_counter() - start)}")

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
