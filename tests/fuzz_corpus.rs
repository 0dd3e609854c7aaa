//! Replays the kept fuzz inputs, each whole, cut short at every place, and with every byte left out
//! or spoilt, so that what fuzzing found once stays found without a nightly compiler.

#[path = "common/fuzz_bodies.rs"]
mod fuzz_bodies;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

type Body = fn(&[u8]);

const TARGETS: [(&str, Body); 6] = [
    ("address", fuzz_bodies::address),
    ("challenge", fuzz_bodies::challenge),
    ("mppc", fuzz_bodies::mppc),
    ("name_rule", fuzz_bodies::name_rule),
    ("register_answer", fuzz_bodies::register_answer),
    ("upkeep", fuzz_bodies::fuzz_upkeep::upkeep),
];

#[test]
fn every_kept_input_holds() {
    for (target, body) in TARGETS {
        let inputs = files(&root().join("tests/corpus").join(target));
        assert!(inputs.len() >= 10, "{target}: only {} inputs", inputs.len());
        for input in inputs {
            // Shown only when the body fails.
            println!("{}", input.display());
            let data = fs::read(&input).unwrap();
            body(&data);
            for at in 0..data.len() {
                let (head, tail) = data.split_at(at);
                body(head);
                body(&[head, &tail[1..]].concat());
                for spoilt in [0x00, b'.', b'%', b'@', b'_', 0xff, tail[0] ^ 0x20] {
                    body(&[head, &[spoilt], &tail[1..]].concat());
                }
            }
        }
    }
}

#[test]
fn every_corpus_and_every_target_is_replayed() {
    let mut known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| name.to_string()).collect();
    let stems = |folder: &str| -> BTreeSet<String> {
        let paths = files(&root().join(folder)).into_iter();
        paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(stems("tests/corpus"), known);
    // The plan's corpus are the transcripts, which `tests/transcripts.rs` replays.
    known.insert("plan".into());
    // The published package leaves the fuzz crate out.
    if root().join("fuzz").is_dir() {
        assert_eq!(stems("fuzz/fuzz_targets"), known);
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
