//! libFuzzer's door to `fuzz::digest`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::digest(data));
