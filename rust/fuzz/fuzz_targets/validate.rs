#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| curatekit_fuzz::validate::holds(bytes));
