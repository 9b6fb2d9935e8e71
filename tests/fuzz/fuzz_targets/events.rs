#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dlrm_fuzz::events(bytes));
