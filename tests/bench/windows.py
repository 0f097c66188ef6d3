"""The cases of `examples/windows.rs` with JAX, in milliseconds: median of 15 calls."""

import time

import jax
import jax.numpy as jnp
import numpy as np


def median(call):
    call(), call()
    times = []
    for _ in range(15):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return f"{sorted(times)[7] * 1e3:.2f} ms"


random = np.random.default_rng(0)
x = jnp.array(random.standard_normal((32, 32, 32, 64)), jnp.float32)
w = jnp.array(random.standard_normal((3, 3, 64, 64)) * 0.05, jnp.float32)


def conv(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def pool(op, nothing):
    return lambda x: jax.lax.reduce_window(x, nothing, op, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def squares(f):
    return lambda *xs: (f(*xs) ** 2).sum()


forward, back = jax.jit(conv), jax.jit(jax.grad(squares(conv), (0, 1)))
print("conv               ", median(lambda: forward(x, w)))
print("conv, gradient     ", median(lambda: back(x, w)))
total = pool(jax.lax.add, 0.0)
for name, f in [("max_pool", pool(jax.lax.max, -jnp.inf)), ("avg_pool", lambda x: total(x) / 4)]:
    forward, back = jax.jit(f), jax.jit(jax.grad(squares(f)))
    print(f"{name}           ", median(lambda: forward(x)))
    print(f"{name}, gradient ", median(lambda: back(x)))
