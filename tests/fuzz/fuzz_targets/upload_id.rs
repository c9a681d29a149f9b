//! libFuzzer's door to `fuzz::upload_id`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::upload_id(data));
