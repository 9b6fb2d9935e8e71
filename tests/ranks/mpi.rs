//! Ranks that `mpirun` starts: this same program, as many times as there are ranks.

use super::{Case, Share, case, placement, same_as_one, train};
use dlrm::backend::Pooling;
use dlrm::comm::Mpi;
use dlrm::optim::UpdateRule;
use std::process::Command;
use std::sync::Arc;

/// Set in the processes that are ranks: what they are to do.
const ROLE: &str = "DLRM_TEST_RANK";

/// Output and whether all went well, of `role` on `ranks` ranks.
fn mpirun(ranks: usize, role: &str) -> (String, bool) {
    let output = Command::new("mpirun")
        .args(["--oversubscribe", "-n", &ranks.to_string()])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "mpi::a_rank", "--nocapture"])
        .envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"), (ROLE, role)])
        .output()
        .expect("mpirun, of the package openmpi-bin");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (text.concat(), output.status.success())
}

#[test]
fn processes_train_as_one() {
    for ranks in [1, 2, 4] {
        let (text, well) = mpirun(ranks, "train");
        assert!(well, "{ranks}: {text}");
        assert_eq!(text.matches("the same as one").count(), ranks, "{text}");
    }
}

#[test]
fn a_rank_that_ends_ends_the_job() {
    let (text, well) = mpirun(4, "die");
    assert!(!well, "{text}");
    assert!(text.contains("rank 1 gives up"), "{text}");
    assert!(!text.contains("the same as one"), "{text}");
}

#[test]
fn ranks_that_were_told_different_things_end_and_say_so() {
    let (text, well) = mpirun(4, "disagree");
    assert!(!well, "{text}");
    assert!(
        text.contains("rank 2: another configuration than rank 0: `lr = 0.2` in line 2, expected `lr = 0.1`"),
        "{text}"
    );
}

/// What a process does that is a rank; in the program that starts them, nothing.
#[test]
fn a_rank() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let comm = Arc::new(Mpi::communicator().unwrap());
    if role == "die" && comm.rank() == 1 {
        eprintln!("rank 1 gives up");
        std::process::exit(1);
    }
    let (rank, ranks) = (comm.rank(), comm.size());
    if role == "disagree" {
        let lines = format!("seed = 1\nlr = 0.{}\n", if rank == 2 { 2 } else { 1 });
        if let Err(error) = comm.agree("configuration", &lines) {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
    for (case, share) in [
        (case(37), Share::Cut),
        (Case { pooling: Pooling::Mean, rule: UpdateRule::ADAGRAD, ..case(10) }, Share::Planned),
        (case(3), Share::Last),
        (case(9), Share::SmallEverywhere),
    ] {
        let trained = train(case, Some((comm.clone(), placement(share, ranks))));
        same_as_one(case, share, ranks, &[(rank, &trained)], 1e-4);
    }
    let bytes: u64 = comm.traffic().iter().map(|(_, traffic)| traffic.bytes).sum();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    println!("rank {rank} of {ranks} on {}: the same as one, {bytes} bytes sent", host.trim());
    Arc::into_inner(comm).expect("models are gone").finish();
}
