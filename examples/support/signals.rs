//! Ctrl-C: the first ends a run after the step that is under way, the second at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// What shells say of a program that Ctrl-C has ended: 128 and the signal's number.
const EXIT_CODE: u8 = 130;

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From here on Ctrl-C, and SIGTERM, which schedulers of clusters send, wait for the end of a step. Before it, and where the system
/// takes no handlers, they end the program at once.
pub fn listen() {
    for signal in [SIGINT, SIGTERM] {
        // In this order: the second signal finds the flag that the first has set.
        let quit = register_conditional_shutdown(signal, EXIT_CODE.into(), INTERRUPTED.clone());
        let _ = quit.and_then(|_| register(signal, INTERRUPTED.clone()));
    }
}

/// Whether a signal has come.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// What a run that was interrupted ends with.
pub fn exit_code() -> ExitCode {
    EXIT_CODE.into()
}
