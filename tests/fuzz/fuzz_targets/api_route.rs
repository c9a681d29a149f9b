//! libFuzzer's door to `fuzz::api_route`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::api_route(data));
