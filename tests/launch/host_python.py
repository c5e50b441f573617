"""Python on a host of the simulated slice: -m glide_jax.main WORD…, on `tiny.convolutional`."""

import os
import sys
import time

import tiny

from glide_jax import config, data
from glide_jax.main import main
from glide_jax.training import jobs
from glide_jax.training.interrupt import Interrupt


def slowed(after_step):
    def slow(self):
        time.sleep(0.2)
        return after_step(self)

    return slow


if __name__ == "__main__":
    assert sys.argv[1:3] == ["-m", "glide_jax.main"]
    words = [word.replace("=/mnt/runs", f"={os.environ['CLOUD']}/runs") for word in sys.argv[3:]]
    data.SOURCES["swatches"] = "glide_jax.data"  # it is a name that the config may have
    data.prepare = lambda source, path: None
    data.open_source = lambda source, path, split: tiny.Swatches()
    jobs.model_of = lambda stage, **text: tiny.convolutional(
        config.experiment_from(config.load_config("configs/simulated.py", []))
    )
    Interrupt.after_step = slowed(Interrupt.after_step)
    sys.exit(main(words))
