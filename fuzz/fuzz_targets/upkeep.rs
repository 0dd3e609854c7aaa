#![no_main]

#[path = "../../tests/common/fuzz_upkeep.rs"]
mod fuzz_upkeep;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_upkeep::upkeep(data));
