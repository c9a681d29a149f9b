//! libFuzzer's door to `fuzz::config`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::config(data));
