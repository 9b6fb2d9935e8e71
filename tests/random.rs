//! The example `random`: command lines of the reference with the program's name changed, the lines that
//! `dlrm_s_pytorch.py` printed for them, digit for digit; and what it says about flags that are not for it.

mod common;

use common::example;
use std::fs;
use std::process::Output;

fn run(line: &str) -> Output {
    example("random").args(line.split_whitespace()).output().unwrap()
}

/// What a command line prints, or the test's end with what went wrong.
#[track_caller]
fn stdout(line: &str) -> String {
    let out = run(line);
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// The losses that a command line prints, in order.
#[track_caller]
fn losses(line: &str) -> String {
    let out = stdout(line);
    let losses = out.lines().filter_map(|l| l.rsplit_once(", loss ")).map(|(_, loss)| loss);
    losses.collect::<Vec<_>>().join(" ")
}

/// Two samples a batch, three batches.
const TINY: &str = "--mini-batch-size=2 --data-size=6";
/// 20 batches of 32 for four tables, printed at the 10th and the 20th.
const SMALL: &str = "--mini-batch-size=32 --num-batches=20 --arch-embedding-size=10-10-10-10 \
                     --arch-sparse-feature-size=8 --arch-mlp-bot=4-16-8 --arch-mlp-top=32-1 --loss-function=bce \
                     --round-targets=True --num-indices-per-lookup=4 --print-freq=10";

#[test]
fn the_reference_s_losses_to_every_printed_digit() {
    let tiny = |more: &str| format!("{TINY} {more}");
    let small = |more: &str| format!("{SMALL} {more}");
    let large = "--mini-batch-size=128 --num-batches=2 --arch-embedding-size=1000-1000-1000-1000 \
                 --arch-sparse-feature-size=16 --arch-mlp-bot=13-512-256-64-16 --arch-mlp-top=512-256-1 \
                 --loss-function=bce --round-targets=True --learning-rate=0.1 --num-indices-per-lookup=1 \
                 --num-indices-per-lookup-fixed=True";
    let epochs = "--mini-batch-size=2 --data-size=5 --nepochs=3 --arch-interaction-op=dot --learning-rate=0.1 \
                  --debug-mode";
    let policy = "--lr-num-warmup-steps=2 --lr-decay-start-step=2 --lr-num-decay-steps=2";
    let wbce = "--loss-function=wbce --loss-weights=0.5-2.0 --round-targets=True";
    let cases = [
        (String::new(), "0.083850"),
        (tiny(""), "0.025266 0.180494 0.083240"),
        (tiny("--arch-interaction-op=cat"), "0.025078 0.195616 0.089025"),
        (tiny("--arch-interaction-itself"), "0.408605 0.128030 0.366875"),
        (tiny("--loss-function=bce --round-targets=True --learning-rate=0.1"), "0.161806 1.933757 0.963293"),
        (
            tiny("--loss-function=bce --round-targets=True --learning-rate=0.1 --loss-threshold=0.2"),
            "0.223144 1.609438 0.916291",
        ),
        (tiny("--learning-rate=0.1 --loss-threshold=0.4"), "0.015477 0.031139 0.041341"),
        (tiny("--loss-threshold=-1"), "0.025266 0.180494 0.083240"),
        (tiny(wbce), "0.080903 3.795913 1.908521"),
        (tiny("--optimizer=adagrad --learning-rate=0.1"), "0.025266 0.137483 0.049146"),
        (tiny("--optimizer=rwsadagrad --learning-rate=0.1"), "0.025266 0.137293 0.049108"),
        (tiny(policy), "0.025266 0.180553 0.083269"),
        (epochs.into(), "0.082442 0.013636 0.001983 0.068620 0.011475 0.000386 0.062587 0.010087 0.000010"),
        (large.into(), "0.688952 0.693999"),
        (small("--learning-rate=0.3"), "0.730083 0.701343"),
        (small("--learning-rate=0.3 --weighted-pooling=learned"), "0.730077 0.701371"),
        (small("--learning-rate=0.3 --weighted-pooling=fixed"), "0.730083 0.701343"),
        (small("--learning-rate=0.05 --optimizer=adagrad"), "0.746694 0.701140"),
        (small("--learning-rate=0.05 --optimizer=rwsadagrad"), "0.748037 0.702427"),
        (
            small("--rand-data-dist=gaussian --rand-data-max=9 --print-freq=7 --test-freq=10 --shared-stream"),
            "0.783111 0.792274 0.836232 0.757906",
        ),
        // Testing draws from the stream that training draws from.
        (tiny("--test-freq=1 --shared-stream"), "0.025266 0.200291 0.199908"),
        // Testing changes nothing.
        (tiny("--test-freq=1"), "0.025266 0.180494 0.083240"),
    ];
    for (line, expected) in cases {
        assert_eq!(losses(&line), expected, "{line}");
    }
}

#[test]
fn the_reference_s_lines() {
    let expected = "Using CPU...\n\
        time/loss/accuracy (if enabled):\n\
        Finished training it 1/3 of epoch 0, -1.00 ms/it, loss 0.025266\n\
        Finished training it 2/3 of epoch 0, -1.00 ms/it, loss 0.180494\n\
        Finished training it 3/3 of epoch 0, -1.00 ms/it, loss 0.083240\n";
    assert_eq!(stdout(TINY), expected);
    let out = stdout(&format!("{SMALL} --inference-only"));
    let lines: Vec<&str> = out.lines().collect();
    let start = ["Using CPU...", "time/loss/accuracy (if enabled):", "Testing for inference only"];
    assert_eq!(lines[..3], start);
    assert_eq!(lines[3..], [" accuracy 50.313 %, best 50.313 %"]);
    let out = stdout(&format!("{SMALL} --learning-rate=0.3 --test-freq=20 --print-freq=20"));
    assert!(out.contains("\nTesting at - 20/20 of epoch 0,\n accuracy "), "{out}");
    let out = stdout(&format!("{TINY} --print-time --print-wall-time --print-freq=2"));
    let lines: Vec<&str> = out.lines().skip(2).collect();
    assert!(lines.len() == 2 && lines.iter().all(|l| !l.contains("-1.00") && l.ends_with(')')), "{out}");
}

/// What argparse makes of these is what happens here.
#[test]
fn flags_are_read_as_argparse_reads_them() {
    for line in [
        "--mini-batch-size 2 --data-size 6",
        "--mini-batch 2 --data-si=6",
        "--mini-batch-size=1 --data-size=6 --mini-batch-size=2",
        "--mini-batch-size=2 --data-size=6 --round-targets= --num-indices-per-lookup-fixed=",
        "--mini-batch-size=2 --data-size=6 --test-freq -1 --test-mini-batch-size -1 --rand-data-mu -1 --local_rank -1",
    ] {
        assert_eq!(losses(line), "0.025266 0.180494 0.083240", "{line}");
    }
    // Any text is true for Python.
    let out = run(&format!("{TINY} --loss-function=bce --learning-rate=0.1 --round-targets=False"));
    assert!(String::from_utf8(out.stdout).unwrap().contains("loss 0.161806"));
    assert!(String::from_utf8(out.stderr).unwrap().contains("note: --round-targets: any text means yes"));
}

#[test]
fn flags_of_other_modes_are_accepted_and_named() {
    let flags = "--md-threshold=200 --md-temperature=0.3 --md-round-dims --qr-threshold=200 --qr-operation=mult \
                 --qr-collisions=4 --activation-function=tanh --data-set=kaggle --raw-data-file=a \
                 --processed-data-file=b --data-randomize=total --max-ind-range=10 --data-sub-sample-rate=0.5 \
                 --num-workers=1 --memory-map --print-precision=5 --sync-dense-params=True --dataset-multiprocessing \
                 --test-mini-batch-size=2 --test-num-workers=1 --mlperf-acc-threshold=0.7 --mlperf-auc-threshold=0.8 \
                 --mlperf-bin-loader --mlperf-bin-shuffle --mlperf-grad-accum-iter=2";
    let out = run(&format!("{TINY} {flags}"));
    let (stdout, notes) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert!(stdout.ends_with("it 3/3 of epoch 0, -1.00 ms/it, loss 0.083240\n"), "{stdout}{notes}");
    assert!(notes.starts_with("note: no effect on random data, as in the reference: ") && notes.lines().count() == 1);
    for flag in flags.split_whitespace().filter_map(|f| f.split('=').next()) {
        assert!(notes.contains(flag), "{flag}: {notes}");
    }
    let out = run(&format!("{TINY} --use-gpu --local_rank=0 --dist-backend=nccl --tensor-board-filename=run"));
    let notes = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success() && notes.lines().count() == 3, "{notes}");
    for flag in ["--use-gpu: ", "--dist-backend, --local_rank: ", "--tensor-board-filename: "] {
        assert!(notes.contains(&format!("note: {flag}")), "{notes}");
    }
}

#[test]
fn a_model_is_kept_loaded_exported_and_tested_with_fewer_bits() {
    let dir = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let line = format!("{SMALL} --learning-rate=0.3 {line}");
        let out = example("random").args(line.split_whitespace()).current_dir(dir.path()).output().unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let accuracy = |out: &str| out.lines().find(|l| l.starts_with(" accuracy")).map(str::to_owned);
    let (code, trained, _) = run("--test-freq=20 --save-model=m.safetensors --save-onnx");
    assert_eq!((code, accuracy(&trained).is_some()), (Some(0), true), "{trained}");
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["dlrm_s_pytorch.onnx", "m.safetensors"]);
    let (_, loaded, _) = run("--inference-only --load-model=m.safetensors");
    assert_eq!(accuracy(&loaded), accuracy(&trained), "{loaded}");
    // A pass from there is the second of two: SGD keeps nothing else.
    let losses = |out: &str| -> Vec<String> {
        let losses = out.lines().filter_map(|l| l.rsplit_once(", loss "));
        losses.map(|(_, loss)| loss.to_owned()).collect()
    };
    let (_, two_passes, _) = run("--nepochs=2");
    let (_, second, _) = run("--load-model=m.safetensors");
    assert_eq!(losses(&second), losses(&two_passes)[2..], "{two_passes}");
    assert_ne!(losses(&second), losses(&two_passes)[..2], "{two_passes}");
    let bits = "--quantize-emb-with-bit=4 --quantize-mlp-with-bit=8";
    let (code, fewer, _) = run(&format!("--inference-only --load-model=m.safetensors {bits}"));
    assert_eq!((code, accuracy(&fewer).is_some()), (Some(0), true), "{fewer}");
    let (_, _, notes) = run(bits);
    assert_eq!(notes, "note: --quantize-*-with-bit: no effect without --inference-only\n");
    let (code, _, error) = run("--load-model=m.safetensors --arch-interaction-op=cat");
    let expected = "error: m.safetensors: a model of another shape, expected that of the flags\n";
    assert_eq!((code, &error[..]), (Some(1), expected));
}

#[test]
fn traces_by_stack_distances() {
    let dir = tempfile::tempdir().unwrap();
    for table in 0..3 {
        let text = "1, 2, 3, 4, 5, 6\n0, 1, 3, 4, 5\n0.55, 0.64, 0.82, 0.91, 1.0\n";
        fs::write(dir.path().join(format!("dist_emb_{table}.log")), text).unwrap();
    }
    let path = dir.path().join("dist_emb_j.log");
    let line = format!("{TINY} --data-generation=synthetic --data-trace-file={}", path.display());
    assert_eq!(losses(&line), "0.025807 0.177974 0.081477");
    fs::remove_file(dir.path().join("dist_emb_2.log")).unwrap();
    let error = String::from_utf8(run(&line).stderr).unwrap();
    assert!(error.starts_with("error: ") && error.contains("dist_emb_2.log: No such file"), "{error}");
}

#[test]
fn published_command_lines_run() {
    // bench/dlrm_s_benchmark.sh with smaller tables and fewer batches.
    let bench = "--mini-batch-size=32 --test-mini-batch-size=16384 --test-num-workers=0 --num-batches=2 \
                 --data-generation=random --arch-mlp-bot=512-512-64 --arch-mlp-top=1024-1024-1024-1 \
                 --arch-sparse-feature-size=64 --arch-embedding-size=1000-1000-1000-1000-1000-1000-1000-1000 \
                 --num-indices-per-lookup=100 --arch-interaction-op=dot --numpy-rand-seed=727 --print-freq=100 \
                 --print-time";
    assert_eq!(losses(bench), "0.086062");
    // The README's distributed one, whose embeddings do not fit its bottom MLP: there it exits too.
    let line = |dim: &str| {
        format!(
            "--arch-embedding-size=800-800 --arch-sparse-feature-size={dim} --arch-mlp-bot=128-128-128-128 \
             --arch-mlp-top=512-512-512-256-1 --max-ind-range=40000000 --data-generation=random --loss-function=bce \
             --round-targets=True --learning-rate=1.0 --mini-batch-size=32 --print-freq=2 --print-time --test-freq=2 \
             --test-mini-batch-size=2048 --memory-map --use-gpu --num-batches=4 --dist-backend=nccl"
        )
    };
    let out = run(&line("64"));
    let error = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(
        error,
        "error: --arch-mlp-bot 128-128-128-128: the last width, 128, is expected to be --arch-sparse-feature-size, 64\n"
    );
    let out = run(&line("128"));
    let notes = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{notes}");
    for note in [
        "note: no effect on random data, as in the reference: --max-ind-range, --memory-map, --test-mini-batch-size\n",
        "note: --use-gpu: this runs on the processor",
        "note: --dist-backend, --local_rank: one process",
        "note: --test-freq: testing leaves the training batches as they are",
    ] {
        assert!(notes.contains(note), "{notes}");
    }
}

/// Tables of 4, 3 and 2 rows, of which some are over the threshold: the mixes at which the reference stops.
#[test]
fn compressed_tables_stand_beside_small_ones() {
    let plain = losses(TINY);
    assert_eq!(losses(&format!("{TINY} --qr-flag")), plain, "no table is over the threshold");
    assert_eq!(losses(&format!("{TINY} --md-flag")), plain, "no table is over the threshold");
    for line in [
        "--qr-flag --qr-threshold=2 --qr-collisions=2",
        "--qr-flag --qr-threshold=3 --qr-operation=add",
        "--qr-flag --qr-threshold=3 --qr-operation=concat --arch-sparse-feature-size=1",
        "--md-flag --md-threshold=2 --md-temperature=0.9",
        "--md-flag --md-threshold=3 --md-temperature=2 --md-round-dims",
    ] {
        let losses = losses(&format!("{TINY} {line}"));
        let numbers: Vec<f64> = losses.split(' ').map(|loss| loss.parse().unwrap()).collect();
        assert!(numbers.len() == 3 && numbers.iter().all(|loss| (0.0..1.0).contains(loss)), "{line}: {losses}");
        assert_ne!(losses, plain, "{line}");
    }
}

#[test]
fn a_mistake_gets_one_line_and_exit_code_1() {
    for (line, expected) in [
        ("--arch-mlp-bot=4-x-2", "expected widths from 1 to 1048576 with dashes between"),
        ("--arch-embedding-size=4-0", "expected rows from 1 to 4294967296 with dashes between"),
        ("--arch-mlp-top=4-2", "--arch-mlp-top 4-2: the last width is expected to be 1, the logit"),
        ("--arch-interaction-op=sum", "[possible values: dot, cat]"),
        ("--loss-weights=1.0", "expected two numbers with a dash between, such as 0.5-2.0"),
        ("--loss-function=hinge", "[possible values: mse, bce, wbce]"),
        ("--optimizer=adam", "[possible values: sgd, adagrad, rwsadagrad]"),
        ("--data-generation=dataset", "[possible values: random, synthetic]"),
        ("--mini-batch-size=0", "invalid value '0' for '--mini-batch-size <B>'"),
        ("--mini-batch-size=1000000 --num-indices-per-lookup=65536", "ids, expected at most 268435456"),
        ("--learning-rate=nan", "expected a finite number"),
        ("--numpy-rand-seed=-1", "'--numpy-rand-seed"),
        ("--rand-data-dist=gaussian --rand-data-max=9", "ids between 0 and 9, expected 0 <= min <= max < 2"),
        ("--lr-num-warmup-steps=4", "--lr-num-warmup-steps 4 must not exceed --lr-decay-start-step 0"),
        ("--mini-batch-size=2 --data-size=6 --nepochs=9 --learning-rate=1e30", "a lower --learning-rate, or"),
        ("--data-generation=synthetic", "./input/dist_emb_0.log: No such file or directory"),
        ("--arch-embedding-size=4294967296 --arch-sparse-feature-size=2 ", "the model's parameters need "),
        ("--qr-flag --md-flag", "'--qr-flag' cannot be used with '--md-flag'"),
        ("--qr-flag --weighted-pooling=fixed", "weighted pooling: expected tables that are not compressed"),
        (
            "--qr-flag --qr-operation=concat",
            "--arch-mlp-bot 4-3-2: the last width, 2, is expected to be twice --arch-sparse-feature-size, 2",
        ),
        ("--loss-threshold=0.5", "--loss-threshold 0.5: nothing is between it and 1 - 0.5, expected below 0.5"),
        ("--quantize-emb-with-bit=5", "[possible values: 4, 8, 16, 32]"),
        ("--save-model=/nonexistent/m.safetensors", "/nonexistent/m.safetensors: No such file or directory"),
        ("--load-model=/nonexistent/m.safetensors", "/nonexistent/m.safetensors: No such file or directory"),
        ("--mlperf-logging", "--mlperf-logging: random's ids have no quality to reach"),
        ("--plot-compute-graph", "--plot-compute-graph: no graph is drawn"),
        ("--data=6", "'--data'"),
    ] {
        let out = run(line);
        let error = String::from_utf8(out.stderr).unwrap();
        let errors: Vec<&str> = error.lines().filter(|l| !l.starts_with("note: ")).collect();
        assert_eq!(out.status.code(), Some(1), "{line}: {error}");
        assert!(errors.len() == 1 && errors[0].starts_with("error: "), "{line}: {error}");
        assert!(errors[0].contains(expected), "{line}: {error}, expected {expected}");
    }
}
