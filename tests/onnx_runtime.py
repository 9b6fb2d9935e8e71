#!/usr/bin/env python3
"""Exported models are ONNX, and onnxruntime predicts what this project does.

    onnx_runtime.py [--examples target/release/examples]

Needs torch, numpy, safetensors, onnx and onnxruntime.
"""

import argparse
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
import torch
from torch_interchange import ROOT, Examples, Reference, compare, write_rows


def session(path):
    onnx.checker.check_model(str(path), full_check=True)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def one_id_a_bag(run, dense, ids, flags):
    """The same rows in both programs, in batches of several sizes."""
    run.run("export_onnx", "--load-model", "model.safetensors", "--save-onnx", "model.onnx", *flags)
    run.run("predict", "--load-model", "model.safetensors", "--data", "rows.rows", "--output", "p.txt")
    expected = torch.from_numpy(np.loadtxt(run.folder / "p.txt", dtype=np.float32))
    runtime = session(run.folder / "model.onnx")
    for b in [1, 64, len(dense)]:
        found = runtime.run(["pred"], {"dense_x": dense[:b].numpy(), "indices": ids[:b].T.numpy()})[0]
        compare(f"{' '.join(flags) or 'one file'}, batch {b}", torch.from_numpy(found[:, 0]), expected[:b], 1e-5)


def lists(run, model, dense):
    """Bags of none to four ids, against PyTorch."""
    run.run("export_onnx", "--load-model", "model.safetensors", "--save-onnx", "model.onnx", "--lists")
    runtime = session(run.folder / "model.onnx")
    for b in [1, 64, 500]:
        inputs, pooled = {"dense_x": dense[:b].numpy()}, []
        for t, table in enumerate(model.emb_l):
            lengths = torch.randint(0, 5, (b,))
            offsets, ids = lengths.cumsum(0) - lengths, torch.randint(0, table.num_embeddings, (int(lengths.sum()),))
            inputs |= {f"offsets_{t}": offsets.numpy(), f"indices_{t}": ids.numpy()}
            pooled.append(table(ids, offsets))
        vectors = torch.stack([model.bot_l(dense[:b]), *pooled], 1)
        i, j = torch.tril_indices(vectors.shape[1], vectors.shape[1], -1)
        expected = model.top_l(torch.cat([vectors[:, 0], (vectors @ vectors.transpose(1, 2))[:, i, j]], 1))
        compare(f"lists, batch {b}", torch.from_numpy(runtime.run(["pred"], inputs)[0]), expected.detach(), 1e-5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=pathlib.Path, default=ROOT / "target/release/examples")
    args = parser.parse_args()
    torch.manual_seed(4)
    with tempfile.TemporaryDirectory() as folder:
        run = Examples(args.examples.resolve(), pathlib.Path(folder))
        write_rows(run.folder / "rows.tsv")
        run.run("preprocess", "--input", "rows.tsv", "--output", "rows.rows")
        run.run("convert", "--input", "rows.rows", "--output", "rows.npz")
        rows = np.load(run.folder / "rows.npz")
        dense = torch.from_numpy(np.log(rows["X_int"].astype(np.float32) + 1))
        ids = torch.from_numpy(rows["X_cat"].astype(np.int64))
        for op in ["dot", "dot-itself", "cat"]:
            model = Reference(rows["counts"], 16, [64, 32], [48, 24], op)
            torch.save({"state_dict": model.state_dict()}, run.folder / "model.pt")
            run.convert("model.pt", "model.safetensors")
            for flags in [[], ["--external-data"]]:
                one_id_a_bag(run, dense, ids, flags)
            if op == "dot":
                lists(run, model, dense)
        for compressed in [["--qr-flag", "--qr-threshold", "20"], ["--md-flag", "--md-threshold", "20"]]:
            model = ["--bottom-mlp", "13-32-16", "--top-mlp", "24-1", *compressed, "--save-model", "model.safetensors"]
            run.run("criteo_kaggle", "--data", "rows.rows", *model)
            one_id_a_bag(run, dense, ids, [])


if __name__ == "__main__":
    main()
