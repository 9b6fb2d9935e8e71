#!/usr/bin/env python3
"""Turns PyTorch's models into checkpoints of this project and back: by the end of its name a file is a .safetensors or a .pt.

    convert_checkpoint.py model.pt model.safetensors             what dlrm_s_pytorch.py --save-model wrote, or the
                                                                 state dict of a TorchRec DLRM (torch.save)
    convert_checkpoint.py model.safetensors model.pt             for dlrm_s_pytorch.py --load-model --inference-only
    convert_checkpoint.py --torchrec model.safetensors model.pt  for torchrec.models.dlrm.DLRM.load_state_dict

Needs torch, numpy and safetensors. Of the reference plain tables with any interaction, and learned weights of rows; of
TorchRec DLRM (not DLRM_DCN, nor DLRM_Projection), unsharded. The optimizer's state stays behind.
"""

import argparse
import itertools
import json
import re

import numpy
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

# TorchRec's names, and the reference's: layers are at the even places of a list, activations between them.
LAYERS = [
    (r"dense_arch\.model\._mlp\.(\d+)\._linear", "bot_l.{}"),
    (r"over_arch\.model\.0\._mlp\.(\d+)\._linear", "top_l.{}"),
]
# Scalars of NumPy, which the reference keeps beside its weights.
SCALARS = [numpy._core.multiarray.scalar, numpy.dtype, type(numpy.dtype("f8")), type(numpy.dtype("f4"))]


def columns(dim, vectors):
    """For each column of the first top layer the one that TorchRec has there: its pairs are the upper triangle, row by
    row, and the reference's the lower."""
    upper = {pair: dim + k for k, pair in enumerate(itertools.combinations(range(vectors), 2))}
    return torch.tensor([*range(dim)] + [upper[j, i] for i in range(vectors) for j in range(i)])


def from_torchrec(state):
    tables = [tensor for name, tensor in state.items() if ".embedding_bags." in name]
    new = {f"emb_l.{t}.weight": tensor for t, tensor in enumerate(tables)}
    hidden = max((int(m[1]) for name in state if (m := re.search(LAYERS[1][0], name))), default=-1) + 1
    for name, tensor in state.items():
        part = name.rsplit(".", 1)[-1]
        for pattern, layer in LAYERS:
            if found := re.search(pattern, name):
                new[f"{layer.format(2 * int(found[1]))}.{part}"] = tensor
        if "over_arch.model.1." in name:
            new[f"top_l.{2 * hidden}.{part}"] = tensor
    new["top_l.0.weight"] = new["top_l.0.weight"][:, columns(tables[0].shape[1], len(tables) + 1)]
    return new


def to_torchrec(state):
    dim, tables = state["emb_l.0.weight"].shape[1], sum(name.startswith("emb_l.") for name in state)
    last = max(int(name.split(".")[1]) for name in state if name.startswith("top_l."))
    new = {}
    for name, tensor in state.items():
        kind, i, part = name.split(".")
        if kind == "emb_l":
            new[f"sparse_arch.embedding_bag_collection.embedding_bags.t_cat_{i}.{part}"] = tensor
        elif kind == "top_l" and int(i) == last:
            new[f"over_arch.model.1.{part}"] = tensor
        else:
            arch = "dense_arch.model" if kind == "bot_l" else "over_arch.model.0"
            new[f"{arch}._mlp.{int(i) // 2}._linear.{part}"] = tensor
    order = torch.argsort(columns(dim, tables + 1))
    new["over_arch.model.0._mlp.0._linear.weight"] = state["top_l.0.weight"][:, order]
    return new


def config(state, interaction):
    """The shape of a model, which the reference keeps in its command line."""
    known = lambda name, step: list(itertools.takewhile(lambda w: w is not None, map(state.get, map(name.format, itertools.count(0, step)))))
    tables, bottom, top = known("emb_l.{}.weight", 1), known("bot_l.{}.weight", 2), known("top_l.{}.weight", 2)
    dim, f = (tables or bottom[-1:])[0].shape[1 if tables else 0], len(tables) + bool(bottom)
    front = dim if bottom else 0
    widths = {"dot": front + f * (f - 1) // 2, "cat": f * dim, "dot-itself": front + f * (f + 1) // 2}
    fitting = [name for name, width in widths.items() if width == top[0].shape[1] and interaction in (None, name)]
    if not fitting:
        raise SystemExit(f"error: the top MLP takes {top[0].shape[1]} numbers, expected one of {widths}")
    return {
        "dense_features": bottom[0].shape[1] if bottom else 0,
        "num_embeddings": [len(table) for table in tables],
        "embedding_dim": dim,
        "bottom_mlp": [len(weight) for weight in bottom],
        "top_mlp": [len(weight) for weight in top],
        "interaction": fitting[0],
        "pooling": "sum",
        "weighted_pooling": "learned" if "v_W_l.0" in state else None,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--torchrec", action="store_true", help="write TorchRec's names and order of pairs")
    parser.add_argument("--interaction", choices=["dot", "dot-itself", "cat"], help="where the shapes leave it open")
    args = parser.parse_args()
    if args.output.endswith(".safetensors"):
        with torch.serialization.safe_globals(SCALARS):
            state = torch.load(args.input, map_location="cpu", mmap=True)
        state = state.get("state_dict", state)
        if any("over_arch" in name for name in state):
            state = from_torchrec(state)
        metadata = {"config": json.dumps(config(state, args.interaction))}
        save_file({name: tensor.float().contiguous() for name, tensor in state.items()}, args.output, metadata)
        return
    state = load_file(args.input)
    with safe_open(args.input, "pt") as file:
        if json.loads(file.metadata()["config"]).get("weighted_pooling") == "fixed":
            state = {name: tensor for name, tensor in state.items() if not name.startswith("v_W_l.")}
    if args.torchrec:
        torch.save(to_torchrec(state), args.output)
    else:
        zeros = dict.fromkeys(["epoch", "iter", "nepochs", "nbatches", "nbatches_test"], 0)
        torch.save({"state_dict": state, **zeros, **dict.fromkeys(["train_loss", "total_loss", "test_acc", "test_auc"], 0.0)}, args.output)


if __name__ == "__main__":
    main()
