#!/usr/bin/env python3
"""Times predictions of the reference's Kaggle model, at most 100,000 rows a table: this project, onnxruntime and PyTorch by
turns in one run, on the same batch sizes and number of threads.

    torch_predict.py [--examples target/release/examples] [--threads 2] [--rounds 3] [--seconds 2]

One JSON object a line: system, batch, median of the rounds' p50 and p99 in microseconds, rows a second; at the end the ratio
of p50 to ours. onnxruntime runs the graph that export_onnx writes of the same weights. Needs torch, numpy, safetensors and
onnxruntime.
"""

import argparse
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from torch_interchange import KAGGLE, Examples, Reference  # noqa: E402

BATCHES = [1, 64, 2048]
DISTINCT = 64


def timed(run, batches, seconds):
    times, start = [], time.perf_counter()
    for batch in itertools.cycle(batches):
        before = time.perf_counter()
        run(batch)
        after = time.perf_counter()
        if after - start > 0.2 * seconds:
            times.append(after - before)
        if after - start > 1.2 * seconds:
            break
    times.sort()
    b = len(batches[0][0])
    quantile = lambda q: round(1e6 * times[int(q * (len(times) - 1))], 1)
    return {"batch": b, "p50_us": quantile(0.5), "p99_us": quantile(0.99), "rows_per_s": round(b * len(times) / sum(times))}


def random_batches(rows, b):
    rng = np.random.default_rng(b)
    ids = lambda: np.stack([rng.integers(0, n, b) for n in rows])
    return [(rng.random((b, 13), dtype=np.float32), ids()) for _ in range(DISTINCT)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=pathlib.Path, default=ROOT / "target/release/examples")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("medium")  # on AMD as exact, and twice as fast
    rows = [min(n, 100_000) for n in KAGGLE]
    model = Reference(rows, 16, [512, 256, 64], [512, 256]).eval()
    with tempfile.TemporaryDirectory() as folder:
        run = Examples(args.examples.resolve(), pathlib.Path(folder))
        torch.save({"state_dict": model.state_dict()}, run.folder / "model.pt")
        run.convert("model.pt", "model.safetensors")
        run.run("export_onnx", "--load-model", "model.safetensors", "--save-onnx", "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        session = onnxruntime.InferenceSession(run.folder / "model.onnx", options, providers=["CPUExecutionProvider"])

        def ours():
            command = [run.examples / "predict", "--load-model", "model.safetensors", "--latency", "--json", "--threads", str(args.threads)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
            return map(json.loads, done.stdout.splitlines())

        def rival(name, call, made):
            return ({"system": name, **timed(call, made(random_batches(rows, b)), args.seconds)} for b in BATCHES)

        def torch_call(batch):
            with torch.inference_mode():
                torch.sigmoid(model(*batch))

        as_torch = lambda batches: [(torch.from_numpy(x), torch.from_numpy(ids.T.copy())) for x, ids in batches]
        onnx_call = lambda batch: session.run(["pred"], {"dense_x": batch[0], "indices": batch[1]})
        found = {}
        for _ in range(args.rounds):
            for one in [*ours(), *rival("onnxruntime", onnx_call, list), *rival("pytorch", torch_call, as_torch)]:
                found.setdefault((one["system"], one["batch"]), []).append(one)
    median = {key: {name: statistics.median(r[name] for r in runs) for name in ["p50_us", "p99_us", "rows_per_s"]} for key, runs in found.items()}
    for (system, batch), figures in median.items():
        ratio = round(figures["p50_us"] / median["dlrm", batch]["p50_us"], 2)
        print(json.dumps({"system": system, "batch": batch, **figures, "threads": args.threads, "to_ours": ratio}))


if __name__ == "__main__":
    main()
