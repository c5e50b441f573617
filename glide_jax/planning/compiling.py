"""What XLA says a program takes: of a TPU that is not here, and of this machine's CPU."""

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
from glide_jax.planning.topologies import Topology
from glide_jax.training.cost import duration

_SAY_EVERY_S = 60
_MEASURED_AT = (8, 16)

# It would ask Google's metadata server, and wait, and complain of what it was not told.
_NO_TPU_HERE = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

# TPU v4's and v5p's two cores work as one device; of v4 the compiler has to be told so.
_MEGACORE = {"v4": {"chip_config_name": "megacore"}}


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What a compiled program takes of a device, in bytes.

    Attributes:
        arguments: what it is handed: state and batch.
        temporaries: what it makes on the way, and the program itself.
        whole: False where there are only temporaries, of a program that did not fit.
    """

    arguments: int
    temporaries: int
    whole: bool = True


@dataclasses.dataclass(frozen=True)
class Linear:
    """Bytes as a function of the pictures in a micro-batch."""

    fixed: float
    per_picture: float

    def of(self, pictures: int) -> float:
        """Bytes of so many pictures."""
        return max(self.fixed, 0) + self.per_picture * pictures


def tpu_devices(topology: Topology) -> Sequence[Any]:
    """The devices of a TPU slice that is not here.

    Raises:
        UserError: libtpu, which has the compiler, is missing or does not know the slice.
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
                "the TPU's compiler is missing: pip install 'glide_jax[tpu]', or add --estimate "
                "for memory arithmetic alone"
            ) from error
        raise UserError(
            f"the TPU's compiler can't do {topology.layout}: {one_line(error)}"
        ) from error
    return found.devices


def compile_for_tpu(lowered: jax.stages.Lowered, say: Callable[[str], None]) -> Compiled:
    """Compile, telling every minute that it goes on.

    Raises:
        UserError: the compiler gives up for another reason than memory.
    """
    with _telling(say):
        try:
            return _of(lowered.compile())
        except jax.errors.JaxRuntimeError as error:
            needs = _bytes_of_refusal(str(error))
            if needs is None:
                raise UserError(f"the TPU's compiler gives up: {one_line(error)}") from error
            return Compiled(0, needs, whole=False)


def activations(lowered: Callable[[int], jax.stages.Lowered], say: Callable[[str], None]) -> Linear:
    """What the gradients of a micro-batch take on the way, by XLA for this CPU.

    Measured at two sizes of it and taken as linear: with fewer pictures what is made of the weights
    would hide what is made of the pictures. XLA is told to order operations for little memory, as
    it does on accelerators. A CPU keeps in float32 some of what they keep in bfloat16, so that the
    figure is rather too large for them.

    Args:
        lowered: pictures → the gradients' program.
        say: prints a line.
    """
    options = {
        "xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED",
        # It is never run.
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    }
    with _telling(say):
        compiled: list[Any] = [lowered(n).compile(compiler_options=options) for n in _MEASURED_AT]
    # Without what goes in and comes out: weights and gradients.
    few, more = (c.memory_analysis().temp_size_in_bytes for c in compiled)
    per_picture = (more - few) / (_MEASURED_AT[1] - _MEASURED_AT[0])
    return Linear(few - per_picture * _MEASURED_AT[0], per_picture)


def _of(compiled: Any) -> Compiled:
    """The outputs beyond what is donated count as temporaries."""
    memory = compiled.memory_analysis()
    outputs = memory.output_size_in_bytes - memory.alias_size_in_bytes
    made = memory.temp_size_in_bytes + memory.generated_code_size_in_bytes
    return Compiled(memory.argument_size_in_bytes, made + outputs)


def _bytes_of_refusal(text: str) -> int | None:
    """What a program would have needed, as the compiler's complaint says; None: it is another."""
    size = r"([\d.]+)([KMGT])"
    found = re.search(rf"Used {size} of|temporaries \({size}\)|required[^(]*\({size}\)", text)
    if not found:
        return None
    number, unit = (group for group in found.groups() if group)
    return int(float(number) * 1024 ** (" KMGT".index(unit)))


@contextlib.contextmanager
def _telling(say: Callable[[str], None]) -> Iterator[None]:
    start, done = time.perf_counter(), threading.Event()

    def tell() -> None:
        while not done.wait(_SAY_EVERY_S):
            say(f"  still compiling, {duration(time.perf_counter() - start)}")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
