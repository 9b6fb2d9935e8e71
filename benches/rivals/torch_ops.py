#!/usr/bin/env python3
"""Times PyTorch on the same pieces as the benches of this folder, under the same names.

One JSON object a line: group, scenario, what was timed, median milliseconds, and the rate in the
unit of the group. Needs nothing but torch; nothing needs this script.
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn

BATCH = 2048

# Tables, rows, D, lookups a bag.
EMBEDDINGS = [(26, 1_000_000, 16, 1), (8, 1_000_000, 64, 1), (8, 1_000_000, 64, 100), (26, 250_000, 128, 1)]

# Values of the rows that all batches name together: more than a cache holds.
NAMED = 1 << 25

# F (with the dense vector) and D.
INTERACTIONS = [(27, 16), (27, 128), (9, 64)]

# M, N, K.
LAYERS = [
    (2048, 512, 13),
    (2048, 256, 512),
    (2048, 64, 256),
    (2048, 512, 367),
    (2048, 512, 415),
    (2048, 1024, 479),
    (2048, 1024, 1024),
    (128, 512, 479),
    (128, 1024, 1024),
    (128, 256, 512),
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("filter", nargs="?", default="", help="only names (group/scenario) that contain this")
    parser.add_argument("--threads", type=int, default=2)
    choices = ["highest", "high", "medium"]
    parser.add_argument("--precision", choices=choices, default="medium", help="of matrix products")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long to time each")
    return parser.parse_args()


def median_seconds(run, seconds):
    """The median of samples' mean times of `run(i)` for i = 0, 1, …, after a tenth of the time as warm-up.

    A sample is as many calls as take a hundredth of the time. Criterion's medians are of such samples too, so a
    disturbance of the machine counts as much here as there.
    """

    def timed(first, calls):
        start = time.perf_counter()
        for i in range(first, first + calls):
            run(i)
        return time.perf_counter() - start

    i, warm = 0, 0.0
    while warm < 0.1 * seconds:
        warm += timed(i, 1)
        i += 1
    calls = max(1, int(0.01 * seconds * i / warm))
    samples, all_of_them = [], 0.0
    while len(samples) < 3 or all_of_them < seconds:
        took = timed(i, calls)
        i += calls
        samples.append(took / calls)
        all_of_them += took
    return statistics.median(samples)


def embedding_bags(tables, rows, dim, lookups):
    """The forward pass of a collection of tables, and a training step of nothing else."""
    layers = []
    for _ in range(tables):
        weight = torch.empty(rows, dim).uniform_(-1e-3, 1e-3)
        layers.append(nn.EmbeddingBag.from_pretrained(weight, freeze=False, mode="sum", sparse=True))
    sgd = torch.optim.SGD([layer.weight for layer in layers], lr=0.01)
    offsets = torch.arange(0, BATCH * lookups, lookups)
    count = max(2, NAMED // (BATCH * tables * lookups * dim))
    batches = [[torch.randint(rows, (BATCH * lookups,)) for _ in range(tables)] for _ in range(count)]
    grads = [torch.rand(BATCH, dim) for _ in range(tables)]

    def forward(i):
        return [layer(ids, offsets) for layer, ids in zip(layers, batches[i % count])]

    def step(i):
        sgd.zero_grad(set_to_none=True)
        torch.autograd.backward(forward(i), grads)
        sgd.step()

    yield "forward", torch.no_grad()(forward)
    yield "sgd-step", step


def interaction(features, dim):
    """Dot products of all pairs, the dense vector in front, as the reference computes them."""
    dense = torch.rand(BATCH, dim, requires_grad=True)
    pooled = torch.rand(BATCH, features - 1, dim, requires_grad=True)
    rows, cols = torch.tril_indices(features, features, offset=-1)
    grad = torch.rand(BATCH, dim + len(rows))

    def forward(_):
        vectors = torch.cat([dense.unsqueeze(1), pooled], dim=1)
        dots = torch.bmm(vectors, vectors.transpose(1, 2))
        return torch.cat([dense, dots[:, rows, cols]], dim=1)

    def both(i):
        dense.grad = pooled.grad = None
        forward(i).backward(grad)

    yield "forward", torch.no_grad()(forward)
    yield "forward+backward", both


def linear(m, n, k):
    x, w = torch.rand(m, k), torch.rand(n, k)
    yield "linear", torch.no_grad()(lambda _: nn.functional.linear(x, w))


def scenarios():
    """Group, scenario, what makes its runs, work of each run, and the unit of billions of it a second."""
    for tables, rows, dim, lookups in EMBEDDINGS:
        row_bytes = 4 * BATCH * tables * lookups * dim
        work = {"forward": row_bytes, "sgd-step": row_bytes}
        shape = (tables, rows, dim, lookups)
        yield "embedding_bag/backend", f"{tables}xD{dim}x{lookups}", embedding_bags, shape, work, "GB/s"
    for features, dim in INTERACTIONS:
        flops = BATCH * features * (features - 1) * dim
        work = {"forward": flops, "forward+backward": 3 * flops}
        yield "interaction", f"F{features}xD{dim}", interaction, (features, dim), work, "GFLOP/s"
    for m, n, k in LAYERS:
        yield "gemm/linear", f"{m}x{n}x{k}", linear, (m, n, k), {"linear": 2 * m * n * k}, "GFLOP/s"


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision(args.precision)
    torch.manual_seed(1)
    for group, scenario, make, shape, work, unit in scenarios():
        if args.filter not in f"{group}/{scenario}":
            continue
        for timed, run in make(*shape):
            seconds = median_seconds(run, args.seconds)
            rate = round(1e-9 * work[timed] / seconds, 2)
            result = {"group": group, "scenario": scenario, "timed": timed, "ms": round(1e3 * seconds, 4)}
            print(json.dumps({**result, "rate": rate, "unit": unit, "threads": args.threads}), flush=True)


if __name__ == "__main__":
    main()
