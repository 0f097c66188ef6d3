"""What each public function of Gavotte computes, in the terms of JAX and SciPy.

A function is called with its array operands; other arguments are part of its name. `tests/src/functions` has the
operands.
"""

import jax.numpy as jnp

# Arrays.
ARRAY = {
    "mean": jnp.mean,
    "mean_0": lambda x: jnp.mean(x, 0),
    "clip": lambda x: jnp.clip(x, -1, 1.5),
    "power": jnp.power,
    "maximum": jnp.maximum,
}

FUNCTIONS = {**ARRAY}
