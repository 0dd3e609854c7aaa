#![no_main]

#[path = "../../tests/common/fuzz_plan.rs"]
mod fuzz_plan;
#[path = "../../tests/common/in_hand.rs"]
mod in_hand;
#[path = "../../tests/common/transcript.rs"]
#[allow(dead_code, reason = "what only the player needs")]
mod transcript;
#[path = "../../tests/common/words.rs"]
mod words;

// Begin with the dialogues: `cargo fuzz run plan fuzz/corpus/plan tests/transcripts`.
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_plan::plan(data));
