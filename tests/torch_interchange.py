#!/usr/bin/env python3
"""Models between PyTorch and this project: the same logits, the same weights after training on both sides, and back.

    torch_interchange.py [--examples target/release/examples]     the test, on small models
    torch_interchange.py --kaggle                                 540 million parameters out, in and out again

Needs torch, numpy and safetensors. The model is the reference's (dlrm_s_pytorch.py), with its names; TorchRec's is built
of plain modules with its names and its order of pairs.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH, STEPS = 128, 20
# Of 2986 rows the first six sevenths, by which the examples train, are 2560: so many steps.
ROWS = 2986
KAGGLE = [1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992, 5461306, 10, 5652,
          2173, 4, 7046547, 18, 15, 286181, 105, 142572]


def mlp(sizes, last):
    layers = []
    for k, n in zip(sizes, sizes[1:]):
        layers += [nn.Linear(k, n), nn.ReLU()]
    return nn.Sequential(*layers[:-1], *last)


class Reference(nn.Module):
    """DLRM_Net of the reference, for plain tables."""

    def __init__(self, rows, dim, bottom, top, op="dot", pooling=False):
        super().__init__()
        f = len(rows) + 1
        width = {"dot": dim + f * (f - 1) // 2, "dot-itself": dim + f * (f + 1) // 2, "cat": f * dim}[op]
        self.emb_l = nn.ModuleList(nn.EmbeddingBag(n, dim, mode="sum", sparse=not pooling) for n in rows)
        if pooling:
            self.v_W_l = nn.ParameterList(nn.Parameter(0.5 + torch.rand(n)) for n in rows)
        self.bot_l = mlp([13, *bottom, dim], [nn.ReLU()])
        self.top_l = mlp([width, *top, 1], [nn.Sigmoid()])
        self.op, self.pooling = op, pooling
        for table in self.emb_l:
            nn.init.uniform_(table.weight, -0.5, 0.5)

    def forward(self, dense, ids):
        """Logits: the sigmoid is left out."""
        offsets, x = torch.arange(len(dense)), self.bot_l(dense)
        weights = [self.v_W_l[t][ids[:, t]] if self.pooling else None for t in range(len(self.emb_l))]
        pooled = [table(ids[:, t], offsets, w) for t, (table, w) in enumerate(zip(self.emb_l, weights))]
        vectors = torch.stack([x, *pooled], 1)
        if self.op == "cat":
            z = vectors.flatten(1)
        else:
            i, j = torch.tril_indices(vectors.shape[1], vectors.shape[1], 0 if self.op == "dot-itself" else -1)
            z = torch.cat([x, (vectors @ vectors.transpose(1, 2))[:, i, j]], 1)
        return self.top_l[:-1](z).squeeze(1)


def as_torchrec(model):
    """The state dict of TorchRec's DLRM with the layers of `model`, whose first top layer then means other pairs."""
    state, last = {}, 2 * (len(model.top_l) // 2 - 1)
    for name, tensor in model.state_dict().items():
        kind, i, part = name.split(".")
        if kind == "emb_l":
            state[f"model.sparse_arch.embedding_bag_collection.embedding_bags.t_cat_{i}.{part}"] = tensor
        elif kind == "bot_l":
            state[f"model.dense_arch.model._mlp.{int(i) // 2}._linear.{part}"] = tensor
        elif int(i) == last:
            state[f"model.over_arch.model.1.{part}"] = tensor
        else:
            state[f"model.over_arch.model.0._mlp.{int(i) // 2}._linear.{part}"] = tensor
    return state


def torchrec_logits(model, dense, ids):
    x = model.bot_l(dense)
    vectors = torch.stack([x, *(table(ids[:, t], torch.arange(len(dense))) for t, table in enumerate(model.emb_l))], 1)
    i, j = torch.triu_indices(vectors.shape[1], vectors.shape[1], 1)
    return model.top_l[:-1](torch.cat([x, (vectors @ vectors.transpose(1, 2))[:, i, j]], 1)).squeeze(1)


def write_rows(path):
    """Rows in Criteo's format, some ids frequent and some missing."""
    rng = np.random.default_rng(5)
    with open(path, "w") as file:
        for _ in range(ROWS):
            ints = ["" if rng.random() < 0.1 else str(int(x)) for x in rng.exponential(20, 13) - 1]
            ids = ["" if rng.random() < 0.1 else f"{int(rng.random() ** 3 * 300) * 2654435761 % 2**32:08x}" for _ in range(26)]
            print(int(rng.random() < 0.25), *ints, *ids, sep="\t", file=file)


class Examples:
    def __init__(self, examples, folder):
        self.examples, self.folder = examples, folder

    def run(self, name, *args):
        done = subprocess.run([self.examples / name, *args], cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{name} {' '.join(args)}: {done.stderr}")

    def convert(self, *args):
        subprocess.run([sys.executable, ROOT / "examples/convert_checkpoint.py", *args], cwd=self.folder, check=True)

    def logits(self, model, rows):
        self.run("predict", "--load-model", model, "--data", rows, "--logits", "--output", "logits.txt")
        return torch.from_numpy(np.loadtxt(self.folder / "logits.txt", dtype=np.float32))


def compare(what, found, expected, tolerance):
    difference = (found - expected).abs().max().item()
    print(f"{what}: {expected.numel()} numbers, at most {difference:.1e} apart")
    if not difference <= tolerance:
        sys.exit(f"error: {what}: {difference:.3e} apart, expected at most {tolerance:.0e}")


def compare_weights(what, found, expected, tolerance):
    if set(found) != set(expected):
        sys.exit(f"error: {what}: tensors {sorted(set(found) ^ set(expected))} on one side only")
    flat = lambda state: torch.cat([state[name].flatten() for name in sorted(state)])
    compare(what, flat(found), flat(expected), tolerance)


def train(model, optimizer, dense, ids, labels):
    for step in range(STEPS):
        batch = slice(BATCH * step, BATCH * (step + 1))
        loss = nn.functional.binary_cross_entropy_with_logits(model(dense[batch], ids[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def small(run):
    write_rows(run.folder / "rows.tsv")
    run.run("preprocess", "--input", "rows.tsv", "--output", "rows.rows")
    run.run("convert", "--input", "rows.rows", "--output", "rows.npz")
    rows = np.load(run.folder / "rows.npz")
    dense = torch.from_numpy(np.log(rows["X_int"].astype(np.float32) + 1))
    ids, labels = torch.from_numpy(rows["X_cat"].astype(np.int64)), torch.from_numpy(rows["y"].astype(np.float32))
    first = slice(0, 1000)
    for op, pooling in [("dot", False), ("dot-itself", False), ("cat", False), ("dot", True)]:
        model = Reference(rows["counts"], 16, [64, 32], [48, 24], op, pooling)
        torch.save({"state_dict": model.state_dict(), "epoch": 0, "test_acc": np.float64(0.5)}, run.folder / "model.pt")
        run.convert("model.pt", "model.safetensors")
        what = f"{op}{', learned pooling' if pooling else ''}"
        with torch.no_grad():
            compare(f"{what}: logits", run.logits("model.safetensors", "rows.rows")[first], model(dense[first], ids[first]), 1e-5)
        run.convert("model.safetensors", "back.pt")
        back = torch.load(run.folder / "back.pt")["state_dict"]
        compare_weights(f"{what}: back", back, model.state_dict(), 0)
        Reference(rows["counts"], 16, [64, 32], [48, 24], op, pooling).load_state_dict(back)
        if pooling:
            continue
        for name, lr, make in [("sgd", 0.1, torch.optim.SGD), ("adagrad", 0.01, torch.optim.Adagrad)]:
            model.load_state_dict(back)
            train(model, make(model.parameters(), lr), dense, ids, labels)
            run.run("criteo_kaggle", "--data", "rows.rows", "--load-model", "model.safetensors", "--save-model", "trained.safetensors",
                    "--data-randomize", "none", "--batch-size", str(BATCH), "--optimizer", name, "--lr", str(lr))
            trained = load_file(run.folder / "trained.safetensors")
            compare_weights(f"{what}: after {STEPS} steps of {name}", trained, model.state_dict(), 1e-4)
    torchrec(run, rows["counts"], dense[first], ids[first])


def torchrec(run, counts, dense, ids):
    model = Reference(counts, 16, [64, 32], [48, 24])
    state = as_torchrec(model)
    torch.save(state, run.folder / "torchrec.pt")
    run.convert("torchrec.pt", "torchrec.safetensors")
    with torch.no_grad():
        compare("TorchRec: logits", run.logits("torchrec.safetensors", "rows.rows")[: len(dense)], torchrec_logits(model, dense, ids), 1e-5)
    run.convert("--torchrec", "torchrec.safetensors", "back.pt")
    back = {f"model.{name}": tensor for name, tensor in torch.load(run.folder / "back.pt").items()}
    compare_weights("TorchRec: back", back, state, 0)


def kaggle(run):
    """A model as large as Kaggle's through both programs, bit for bit; 11 GB of disk, 7 GB of memory."""
    model = Reference(KAGGLE, 16, [512, 256, 64], [512, 256])
    print(f"{sum(p.numel() for p in model.parameters())} parameters")
    torch.save({"state_dict": model.state_dict()}, run.folder / "model.pt")
    run.convert("model.pt", "model.safetensors")
    (run.folder / "model.pt").unlink()
    # Two days of seven rows, of a dataset with tables as large, and steps too short to change a weight: the model goes through the
    # program that trains.
    none = np.zeros((7, 26), np.int32)
    np.savez(run.folder / "rows.npz", X_int=none[:, :13], X_cat=none, y=none[:, 0], counts=np.array(KAGGLE, np.int32))
    run.run("convert", "--input", "rows.npz", "rows.npz", "--output", "rows.rows")
    run.run("criteo_kaggle", "--data", "rows.rows", "--load-model", "model.safetensors", "--save-model", "copy.safetensors",
            "--lr", "1e-38", "--full-test")
    run.convert("copy.safetensors", "back.pt")
    back, state = torch.load(run.folder / "back.pt", mmap=True)["state_dict"], model.state_dict()
    same = set(back) == set(state) and all(torch.equal(back[name], state[name]) for name in state)
    print("the weights that came back are the same, bit for bit" if same else "error: the weights that came back are others")
    sys.exit(not same)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=pathlib.Path, default=ROOT / "target/release/examples")
    parser.add_argument("--kaggle", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(3)
    with tempfile.TemporaryDirectory() as folder:
        (kaggle if args.kaggle else small)(Examples(args.examples.resolve(), pathlib.Path(folder)))


if __name__ == "__main__":
    main()
