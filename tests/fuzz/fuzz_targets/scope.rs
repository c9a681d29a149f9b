//! libFuzzer's door to `fuzz::scope`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::scope(data));
