//! Separators in text.

use crate::cases;
use crate::pages::{Edged, everywhere};
use dlrm_kernels::text::separators;

#[test]
fn the_scan_of_text_stays_inside() {
    for (isa, len) in cases(&[0, 1, 7, 15, 16, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 1000]) {
        everywhere(format!("separators in {len} bytes on {}", isa.name()), |place| {
            let text: Vec<u8> = (0..len).map(|i| [b'1', b'\t', b'a', b'\n', b'\r'][i * i % 5]).collect();
            let mut found = Vec::new();
            separators(isa, &Edged::new(place, &text), &mut found);
            vec![Edged::new(place, &found)]
        });
    }
}
