#![no_main]

#[path = "../../tests/common/fuzz_bodies.rs"]
#[allow(dead_code, reason = "each target uses one body")]
mod fuzz_bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::fuzz_upkeep::upkeep(data));
