//! libFuzzer's way into the property of the same name.

#![no_main]

#[path = "../properties.rs"]
#[expect(dead_code, reason = "each target checks one of the properties")]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::signature_header(input));
