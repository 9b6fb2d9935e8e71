#!/usr/bin/env python3
"""What TensorBoard makes of a run's event files: the figures of --json, each at its step and in order.

    tensorboard_events.py [--examples target/release/examples]

Needs tensorboard and numpy.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = pathlib.Path(__file__).resolve().parent.parent
EVERY, TESTS = 10, 20
TESTED = ["auc", "average_precision", "logloss", "normalized_entropy", "accuracy", "precision", "recall", "f1", "base_rate",
          "calibration"]


def train(examples, folder, epochs):
    """A short run with its folder for TensorBoard and its lines of JSON."""
    out = folder / "run.jsonl"
    subprocess.run(
        [examples / "criteo_kaggle", "--data", ROOT / "data/sample.tsv", "--no-cache", "--top-mlp", "8-1", "--bottom-mlp",
         "13-16", "--batch-size", "8", "--epochs", str(epochs), "--full-test", "--lr-warmup-steps", "15", "--test-freq",
         str(TESTS), "--json", out, "--tensorboard", folder / "events", "--log-every", str(EVERY), "--histograms"],
        check=True, capture_output=True)
    return [json.loads(line) for line in out.read_text().splitlines()]


def read(folder):
    """All that TensorBoard keeps, without its limits."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    accumulator.Reload()
    return accumulator


def points(accumulator, tag):
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def as_f32(record, name, field):
    return (record["step"], float(np.float32(record[field])))


def check_scalars(accumulator, records):
    for field in TESTED:
        expected = [as_f32(record, field, field) for record in records if record[field] is not None]
        assert points(accumulator, "test/" + field) == expected, field
    for field in ["train_loss", "rows_per_s"]:
        assert points(accumulator, "pass/" + field) == [as_f32(record, field, field) for record in records], field
    steps = list(range(EVERY, records[-1]["step"] + 1, EVERY))
    for tag in ["train/loss", "train/lr", "train/rows_per_s", "gradient_norm/dense", "gradient_norm/embeddings"]:
        found = points(accumulator, tag)
        assert [step for step, _ in found] == steps, (tag, found)
        assert all(value > 0 for _, value in found), (tag, found)
    rates = dict(points(accumulator, "train/lr"))
    compared = [record for record in records if record["step"] in rates]
    assert len(compared) > 1 and len(set(rates.values())) > 1
    for record in compared:
        assert (record["step"], rates[record["step"]]) == as_f32(record, "train/lr", "lr")
    # The mean over the first pass is that of its parts, which are means over as many rows each.
    first = next(record for record in records if record["step"] == TESTS)
    mean = np.mean([value for step, value in points(accumulator, "train/loss") if step <= TESTS])
    assert abs(mean - first["train_loss"]) < 1e-6, (mean, first)
    times = [event.wall_time for event in accumulator.Scalars("train/loss")]
    assert times == sorted(times)


def check_model(accumulator, records):
    """Histograms and norms of weights have the same numbers."""
    tags = accumulator.Tags()["histograms"]
    assert len(tags) == 26 + 6 and "emb_l.25.weight" in tags and "top_l.2.bias" in tags, tags
    for group, of in [("embeddings", "emb_l"), ("dense", ("bot_l", "top_l"))]:
        found = [accumulator.Histograms(tag) for tag in tags if tag.startswith(of)]
        assert all([event.step for event in events] == [record["step"] for record in records] for events in found)
        for i, (step, norm) in enumerate(points(accumulator, "weight_norm/" + group)):
            of_model = [events[i].histogram_value for events in found]
            assert all(sum(h.bucket) == h.num and h.bucket_limit[-1] == h.max for h in of_model)
            squares = sum(h.sum_squares for h in of_model)
            assert abs(norm - squares ** 0.5) < 1e-5 * norm, (group, step, norm, squares)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=pathlib.Path, default=ROOT / "target/release/examples")
    examples = parser.parse_args().examples.resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        records = train(examples, folder, epochs=3)
        accumulator = read(folder / "events")
        check_scalars(accumulator, records)
        check_model(accumulator, records)
        print(f"{len(records)} tests, {len(accumulator.Scalars('train/loss'))} looks at the training: the same")
        # A later run in the same folder takes the place of the first.
        records = train(examples, folder, epochs=2)
        check_scalars(read(folder / "events"), records)
        print("and those of a later run in the same folder")


if __name__ == "__main__":
    main()
