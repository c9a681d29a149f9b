//! libFuzzer's door to `fuzz::value`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::value(data));
