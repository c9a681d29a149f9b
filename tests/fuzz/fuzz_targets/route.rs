//! libFuzzer's door to `fuzz::route`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::route(data));
