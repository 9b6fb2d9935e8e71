//! Measuring the machine, with a word about what is going on.

use dlrm::backend::Cpu;
use dlrm::roofline::{Memory, Roofline};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// The limits of each of `cpus`. Progress goes to standard error: a spinner on a terminal, a line for
/// each elsewhere. The memory that was probed is free again afterwards.
pub fn measure(cpus: &[&Cpu]) -> Vec<Roofline> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("measuring {spinner} {msg}, {elapsed}").expect("a valid template"));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar.set_message("touching memory");
    let Some(most) = cpus.iter().max_by_key(|cpu| cpu.threads()) else { return Vec::new() };
    let mut memory = Memory::new(most);
    let one = |cpu: &&Cpu| {
        let threads = threads(cpu.threads());
        if bar.is_hidden() {
            eprintln!("measuring: {threads}");
        }
        Roofline::measure(cpu, &mut memory, &mut |pass, of| bar.set_message(format!("{threads}: {pass} of {of}")))
    };
    let machine = cpus.iter().map(one).collect();
    bar.finish_and_clear();
    machine
}

/// `1 thread`, `2 threads`.
pub fn threads(n: usize) -> String {
    format!("{n} {}", if n == 1 { "thread" } else { "threads" })
}
