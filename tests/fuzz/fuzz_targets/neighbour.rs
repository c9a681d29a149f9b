//! libFuzzer's door to `fuzz::neighbour`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::neighbour(data));
