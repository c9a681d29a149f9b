//! libFuzzer's door to `fuzz::q`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::q(data));
