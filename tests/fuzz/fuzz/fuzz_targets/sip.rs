//! See `tandem_fuzz::sip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tandem_fuzz::sip(data));
