"""Times the training step of a multilayer perceptron in JAX or PyTorch.

784-512-512-10, rectifiers, mean cross-entropy, a batch of 128, Adam with a rate of 0.001; float32, on the CPU. A step
is forward, backward and update, until the loss is available. The example `perceptron` times `gavotte` on the same.

    python perceptron.py jax|torch|torch-compile THREADS
"""

import os
import sys
import time

peer, threads = sys.argv[1], int(sys.argv[2])
# JAX has no option for its threads: it starts one for each processor that it may use.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

import numpy as np

WIDTHS, BATCH, RATE, STEPS = (784, 512, 512, 10), 128, 1e-3, 300

rng = np.random.default_rng(0)
x = rng.standard_normal((BATCH, WIDTHS[0]), dtype=np.float32)
classes = np.arange(BATCH) % WIDTHS[-1]


def jax_step():
    import jax
    import jax.numpy as jnp

    def loss(layers, x, y):
        for i, (w, b) in enumerate(layers):
            x = x @ w + b
            if i + 1 < len(layers):
                x = jax.nn.relu(x)
        return -(jax.nn.log_softmax(x) * y).sum(1).mean()

    def step(i, state, x, y):
        layers, m, v = state
        value, grads = jax.value_and_grad(loss)(layers, x, y)
        t = (i + 1).astype(jnp.float32)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        m_scale, v_scale = 1 / (1 - 0.9**t), 1 / (1 - 0.999**t)
        update = lambda w, m, v: w - RATE * (m * m_scale) / (jnp.sqrt(v * v_scale) + 1e-8)
        return (jax.tree.map(update, layers, m, v), m, v), value

    def matrix(a, b):
        return rng.standard_normal((a, b), dtype=np.float32) * np.float32((2 / (a + b)) ** 0.5)

    layers = [(jnp.asarray(matrix(a, b)), jnp.zeros(b)) for a, b in zip(WIDTHS, WIDTHS[1:])]
    state = (layers, jax.tree.map(jnp.zeros_like, layers), jax.tree.map(jnp.zeros_like, layers))
    x_there, y = jnp.asarray(x), jax.nn.one_hot(classes, WIDTHS[-1])
    compiled = jax.jit(step, donate_argnums=1)
    i = 0

    def run():
        nonlocal state, i
        state, value = compiled(np.int32(i), state, x_there, y)
        jax.block_until_ready(state)
        i += 1
        return float(value)

    return run


def torch_step(compile):
    import torch

    torch.set_num_threads(threads)
    layers = []
    for a, b in zip(WIDTHS, WIDTHS[1:]):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(net.parameters(), RATE, fused=True)
    x_there, y = torch.from_numpy(x), torch.from_numpy(classes)

    def loss(x, y):
        return torch.nn.functional.cross_entropy(net(x), y)

    if compile:
        loss = torch.compile(loss)

    def run():
        optimizer.zero_grad(set_to_none=True)
        value = loss(x_there, y)
        value.backward()
        optimizer.step()
        return float(value.detach())

    return run


step = jax_step() if peer == "jax" else torch_step(peer == "torch-compile")
step()
times = []
for _ in range(STEPS):
    start = time.perf_counter()
    value = step()
    times.append((time.perf_counter() - start) * 1e3)
times.sort()
assert value < 0.1, f"the loss is {value}: it does not learn"
print(f"{peer}, {threads} threads: min {times[0]:.3f} ms, median {times[STEPS // 2]:.3f} ms")
