//! No kernel reads or writes beyond its slices: on every instruction set each operand, of odd sizes, lies once so that it
//! ends where a page begins that nobody may touch, and once so that it begins where such a page ends. What comes out has
//! the same bits wherever operands lie.

#![cfg(all(unix, not(miri)))]

#[path = "../parity/common.rs"]
#[allow(dead_code)] // its random numbers alone are used
mod common;
mod elementwise;
mod embedding_bag;
mod gemm;
mod interaction;
mod optim;
mod pages;
mod quantized;
mod scan;

use dlrm_kernels::Isa;
use pages::{Edged, PLACES, Place, everywhere};
use std::process::Command;

/// Every instruction set with every shape.
fn cases<T: Copy>(shapes: &[T]) -> impl Iterator<Item = (Isa, T)> {
    Isa::available().flat_map(|isa| shapes.iter().map(move |&shape| (isa, shape)))
}

/// An output that was not written yet: whoever reads it shows.
fn unwritten(place: Place, len: usize) -> Edged<f32> {
    Edged::new(place, &vec![f32::NAN; len])
}

/// Set for the child of the test below.
const TRESPASS: &str = "DLRM_TRESPASS";

/// Not a test of its own: it is run by the next one, and does nothing otherwise.
#[test]
fn trespass() {
    let Ok(place) = std::env::var(TRESPASS) else { return };
    everywhere("trespass".into(), |at| {
        let mut values = Edged::new(at, &[1.0f32; 5]);
        let beyond = match &place[..] {
            "End" if at == Place::End => values.as_ptr().wrapping_add(5),
            "Start" if at == Place::Start => values.as_ptr().wrapping_sub(1),
            "Middle" if at == Place::Middle => {
                // SAFETY: the room around the numbers is part of the map.
                unsafe { values.as_mut_ptr().add(5).write(2.0) };
                values.as_ptr()
            }
            _ => values.as_ptr(),
        };
        // SAFETY: none, on purpose: the process is to end here.
        assert_eq!(unsafe { beyond.read_volatile() }, 1.0);
        vec![values]
    });
}

#[test]
fn whoever_goes_beyond_is_caught_and_named() {
    for place in PLACES {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let child = child.args(["--exact", "trespass", "--nocapture"]).env(TRESPASS, format!("{place:?}"));
        let out = child.output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        let expected = match place {
            // It is looked at when the last place is done.
            Place::Middle => "trespass, Start: wrote around a slice".to_owned(),
            _ => format!("touched a page beyond a slice: trespass, {place:?}"),
        };
        assert!(!out.status.success() && said.contains(&expected), "{place:?}: {said}");
    }
}
