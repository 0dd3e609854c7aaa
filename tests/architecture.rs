//! The contents page is the architecture: a module may use only the modules declared above it in
//! `src/lib.rs`. This reads the sources and fails on an upward arrow; below, it is shown that it can
//! fail. Code under `#[cfg(test)] mod` is exempt: a test may look wherever it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The machines: neither clock nor sockets nor chance nor tasks in them.
const CORE: [&str; 13] = [
    "text",
    "random",
    "now",
    "name",
    "address",
    "policy",
    "discovery",
    "sip",
    "compression",
    "auth",
    "sign_in",
    "upkeep",
    "back_off",
];

/// What the core must not name. `a::b` stands for the path, `.a` for the method.
const IMPURE: [&str; 21] = [
    "async",
    "await",
    "tokio",
    "futures_util",
    "getrandom",
    "rustls",
    "hickory_proto",
    "hickory_resolver",
    "HashMap",
    "HashSet",
    "SystemTime::now",
    "Instant::now",
    ".elapsed",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::thread",
    "std::env",
    "std::fs",
    "std::process",
];

/// The most lines of a file in `src`, tests included.
const LINES: usize = 400;

/// The files that may be longer, how long, and why.
const LONG: [(&str, usize, &str); 3] = [
    ("src/auth/association.rs", 430, "one state and its three verbs; half is documentation"),
    ("src/name.rs", 520, "host names and SRV names share one grammar; a quarter is its tables"),
    ("src/sip/message.rs", 460, "what a message holds, in one place; a quarter is tests"),
];

/// Where the tool lives: a crate of its own, which sees the library only through its front door.
const TOOL: &str = "src/bin/sip-signin/";

#[test]
fn no_arrow_points_upward() {
    upward(&read("src/lib.rs"), sources().into_iter().filter(|(path, _)| !path.starts_with(TOOL)));
}

/// `main.rs` is the contents page of the tool.
#[test]
fn no_arrow_of_the_tool_points_upward() {
    let own = sources().into_iter().filter_map(|(path, source)| {
        let inner = path.strip_prefix(TOOL)?;
        (inner != "main.rs").then(|| (format!("src/{inner}"), source))
    });
    upward(&read(&format!("{TOOL}main.rs")), own);
}

fn upward(contents: &str, sources: impl Iterator<Item = (String, String)>) {
    let modules = modules(contents);
    assert!(modules.iter().any(|module| module == "name"), "the contents page was not understood");
    let mut seen = 0usize;
    let mut upward = Vec::new();
    for (path, source) in sources {
        let arrows = arrows(&path, &source);
        seen += arrows.len();
        upward.extend(arrows.iter().filter_map(|arrow| objection(&modules, arrow)));
    }
    assert!(seen > 10, "only {seen} arrows seen: the sources were not understood");
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

#[test]
fn every_module_stands_in_a_group_of_its_own() {
    for contents in ["src/lib.rs", &format!("{TOOL}main.rs")] {
        let crowded = crowded(&read(contents));
        assert!(
            crowded.is_empty(),
            "rustfmt would sort these; put a blank line between: {crowded:?}"
        );
    }
}

#[test]
fn the_core_is_pure() {
    let listed = modules(&read("src/lib.rs")).into_iter();
    let mut unread: BTreeSet<_> = listed.filter(|top| CORE.contains(&top.as_str())).collect();
    assert!(unread.len() >= 5, "the contents page was not understood");
    let mut found = Vec::new();
    for (path, source) in sources() {
        let Some(top) = module_path(&path).into_iter().next() else { continue };
        if is_test(&path) {
            continue;
        }
        if CORE.contains(&top.as_str()) {
            unread.remove(&top);
            found.extend(impurities(&source).into_iter().map(|what| format!("{path}: {what}")));
        }
    }
    assert!(unread.is_empty(), "without a file: {unread:?}");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_file_is_long_without_a_reason() {
    let allowed = |path: &str| LONG.iter().find(|(long, ..)| *long == path);
    for (path, source) in sources() {
        let lines = source.lines().count();
        match allowed(&path) {
            Some((_, most, _)) => {
                assert!(lines <= *most, "{path}: {lines} lines, {most} were allowed");
                assert!(lines > LINES, "{path}: {lines} lines need no allowance any more");
            }
            None => assert!(lines <= LINES, "{path}: {lines} lines; split it or say why not"),
        }
    }
    for (path, _, reason) in LONG {
        assert!(root().join(path).is_file(), "{path} is allowed to be long but not there");
        assert!(reason.len() > 20, "{path}: a reason, please");
    }
}

/// What works on one machine only has no place in the repository.
#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    let mut files = Vec::new();
    walk(&root(), &mut files);
    let mut found = Vec::new();
    for file in files {
        let path = relative(&file);
        let Ok(text) = fs::read_to_string(&file) else { continue };
        found.extend(machine_paths(&path, &text));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

// ---- the arrows

/// Where a module names another one of the crate.
#[derive(Debug, PartialEq)]
struct Arrow {
    path: String,
    line: usize,
    from: String,
    to: String,
}

/// The modules of the contents page, in order.
fn modules(lib: &str) -> Vec<String> {
    lib.lines().filter_map(declared).map(str::to_owned).collect()
}

/// The module that a line of the contents page declares.
fn declared(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
    line.strip_prefix("mod ")?.strip_suffix(';')
}

/// What is wrong with an arrow, if anything is.
fn objection(modules: &[String], Arrow { path, line, from, to }: &Arrow) -> Option<String> {
    let place = |name: &String| modules.iter().position(|module| module == name);
    let Some(from_place) = place(from) else {
        return Some(format!("{path}: `{from}` is not on the contents page"));
    };
    match place(to) {
        None => Some(format!(
            "{path}:{line}: `crate::{to}` goes through the front door; name the module it lives in"
        )),
        Some(to_place) if to_place > from_place => {
            Some(format!("{path}:{line}: upward arrow: `{from}` uses `{to}`, declared below it"))
        }
        Some(_) => None,
    }
}

/// Every `crate::…` and every `super::…` that reaches the root.
fn arrows(path: &str, source: &str) -> Vec<Arrow> {
    let file = module_path(path);
    let Some(from) = file.first().cloned() else { return Vec::new() };
    let tokens = without_tests(tokens(source));
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut arrows = Vec::new();
    // The inline modules that are open, by the brace depth at which each began.
    let mut inline = Vec::new();
    let mut depth = 0usize;
    let mut at = 0;
    while at < tokens.len() {
        match word(at) {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline.retain(|&began| began < depth);
            }
            "mod" if word(at + 2) == "{" => inline.push(depth),
            "crate" if word(at + 1) == "::" => {
                for (line, to) in heads(&tokens, at + 2) {
                    arrows.push(Arrow { path: path.to_owned(), line, from: from.clone(), to });
                }
            }
            "super" if word(at + 1) == "::" => {
                let mut ups = 1;
                while word(at + 2) == "super" && word(at + 3) == "::" {
                    ups += 1;
                    at += 2;
                }
                if ups == file.len() + inline.len() {
                    for (line, to) in heads(&tokens, at + 2) {
                        arrows.push(Arrow { path: path.to_owned(), line, from: from.clone(), to });
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    arrows
}

/// The first names behind a path's `::`: one, or those of a group in braces.
fn heads(tokens: &[Token], at: usize) -> Vec<(usize, String)> {
    let Some(first) = tokens.get(at) else { return Vec::new() };
    if first.text != "{" {
        return vec![(first.line, first.text.clone())];
    }
    let mut heads = Vec::new();
    let mut depth = 0usize;
    let mut fresh = false;
    for token in &tokens[at..] {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," => {}
            name if fresh => heads.push((token.line, name.to_owned())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        fresh = depth == 1 && ["{", ","].contains(&token.text.as_str());
    }
    heads
}

/// `src/discovery/order.rs` is `discovery`, `order`; the front door is nothing.
fn module_path(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    match inner {
        "lib" => Vec::new(),
        _ => inner.split('/').map(str::to_owned).collect(),
    }
}

/// The declarations that have a neighbour without a blank line between; attributes and doc comments
/// belong to what they stand above.
fn crowded(lib: &str) -> Vec<String> {
    let lines: Vec<&str> = lib.lines().collect();
    let belongs = |line: &str| line.starts_with("#[") || line.starts_with("//");
    let mut crowded = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(module) = declared(line) else { continue };
        let above = lines[..at].iter().rev().find(|line| !belongs(line));
        let below = lines.get(at + 1);
        if above.is_some_and(|line| !line.is_empty()) || below.is_some_and(|line| !line.is_empty())
        {
            crowded.push(module.to_owned());
        }
    }
    crowded
}

// ---- the core

/// Whether a file is nothing but tests: `a/tests.rs`, which `a.rs` or `a/mod.rs` has for tests only.
fn is_test(path: &str) -> bool {
    let Some(module) = path.strip_suffix("/tests.rs") else { return false };
    let mut parents = [format!("{module}.rs"), format!("{module}/mod.rs")].into_iter();
    let parent = parents.find(|parent| root().join(parent).is_file());
    read(&parent.unwrap()).contains("#[cfg(test)]\nmod tests;")
}

fn impurities(source: &str) -> Vec<String> {
    let tokens = without_tests(tokens(source));
    let mut found = Vec::new();
    for ban in IMPURE {
        let spelled: Vec<&str> = match ban.split_once("::") {
            Some((left, right)) => vec![left, "::", right],
            None => ban.strip_prefix('.').map_or(vec![ban], |method| vec![".", method]),
        };
        for window in tokens.windows(spelled.len()) {
            if window.iter().zip(&spelled).all(|(token, word)| token.text == *word) {
                found.push(format!("line {}: `{ban}` in the core", window[0].line));
            }
        }
    }
    found
}

// ---- the repository

/// Written so that this file does not find itself.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/wor", "k/"), concat!("/tm", "p/"), concat!("../shar", "ed"), concat!("/roo", "t/")];

fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for machine in MACHINE_PATHS {
            // Further corpora may lie beside the checkout; their place is only a default.
            let corpora = concat!("../shar", "ed/corpora");
            let default = path == ".ci/run" && line.contains(corpora);
            if line.contains(machine) && !default {
                found.push(format!("{path}:{}: {machine}", at + 1));
            }
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn relative(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Path and text of every source file of the library.
fn sources() -> BTreeMap<String, String> {
    let mut files = Vec::new();
    walk(&root().join("src"), &mut files);
    let rust = files.iter().filter(|file| file.extension().is_some_and(|e| e == "rs"));
    rust.map(|file| (relative(file), fs::read_to_string(file).unwrap())).collect()
}

/// Every file below `folder` but for what git and the builds keep to themselves.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap_or_default();
        let built = [".git", "target", "artifacts", "coverage"].contains(&name);
        if built || name.starts_with("mutants.out") || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

// ---- reading Rust, as far as needed here

#[derive(Clone, Debug)]
struct Token {
    line: usize,
    text: String,
}

/// Words, `::` and single signs; no comments, no literals.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            '\'' => character_or_lifetime(rest),
            'r' | 'b' | 'c' if literal_prefix(rest).is_some() => literal_prefix(rest).unwrap(),
            _ if first.is_alphanumeric() || first == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let end = end.unwrap_or(rest.len());
                tokens.push(Token { line, text: rest[..end].to_owned() });
                end
            }
            _ if rest.starts_with("::") => {
                tokens.push(Token { line, text: "::".to_owned() });
                2
            }
            _ if first.is_whitespace() => first.len_utf8(),
            _ => {
                tokens.push(Token { line, text: first.to_string() });
                first.len_utf8()
            }
        };
        let (taken, left) = rest.split_at(length);
        line += taken.matches('\n').count();
        rest = left;
    }
    tokens
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut open = 0usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            open += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            open -= 1;
            at += 2;
            if open == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// A string that begins with its quotation mark.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn character_or_lifetime(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((escape, escaped))) => {
            let from = escape + escaped.len_utf8();
            text[from..].find('\'').map_or(text.len(), |end| from + end + 1)
        }
        (_, Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `b'…'`, `c"…"`.
fn literal_prefix(text: &str) -> Option<usize> {
    let letters = text.find(|c: char| !['r', 'b', 'c'].contains(&c))?;
    let (prefix, rest) = text.split_at(letters);
    if letters > 2 {
        return None;
    }
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if prefix.contains('r') && rest[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let from = letters + hashes + 1;
        return Some(text[from..].find(&end).map_or(text.len(), |at| from + at + end.len()));
    }
    match rest.chars().next()? {
        '"' => Some(letters + string(rest)),
        '\'' if prefix == "b" => Some(letters + character_or_lifetime(rest)),
        _ => None,
    }
}

/// Leaves out every `#[cfg(test)] mod … { … }`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let here = &tokens[at..];
        let cfg = here.iter().zip(CFG_TEST).filter(|(token, word)| token.text == *word).count();
        let module = here.get(CFG_TEST.len()).is_some_and(|token| token.text == "mod");
        if cfg < CFG_TEST.len() || !module {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0usize;
        for token in here {
            at += 1;
            match token.text.as_str() {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    kept
}

// ---- the checks themselves can fail

/// The complaints about made-up sources under a contents page of `low`, `middle`, `high`.
fn complaints(path: &str, source: &str) -> Vec<String> {
    let modules = modules("mod low;\n\npub mod middle;\n\npub(crate) mod high;\n");
    assert_eq!(modules, ["low", "middle", "high"]);
    arrows(path, source).iter().filter_map(|arrow| objection(&modules, arrow)).collect()
}

#[test]
fn an_upward_arrow_is_seen_in_every_spelling() {
    for source in [
        "use crate::high::Thing;",
        "use crate::{low::Thing, high};",
        "use crate::{\n    low::{A, B},\n    high::{self, C},\n};",
        "fn f() -> crate::high::Thing { todo() }",
        "pub(crate) use crate::high;",
        "use super::high::Thing;",
        "use super::{low, high};",
        "mod inner { use super::super::high; }",
        "impl From<u8> for X { fn from(c: char) { if c == '\"' { crate::high::f() } } }",
        "const TEXT: &str = r#\"a \" quote\"#; use crate::high;",
        "/* a /* nested */ comment */ use crate::high;",
        "#[cfg(test)]\nfn f() { crate::high::g() }",
    ] {
        let complaints = complaints("src/middle.rs", source);
        assert!(
            complaints.len() == 1 && complaints[0].contains("upward"),
            "{source} {complaints:?}"
        );
    }
    assert_eq!(complaints("src/middle/part.rs", "use super::super::high;").len(), 1);
    assert_eq!(complaints("src/middle/mod.rs", "use super::high;").len(), 1);
    assert_eq!(
        complaints("src/low.rs", "\n\nuse crate::middle;"),
        ["src/low.rs:3: upward arrow: `low` uses `middle`, declared below it"]
    );
}

#[test]
fn a_detour_through_the_front_door_or_an_unlisted_module_is_seen() {
    assert!(complaints("src/middle.rs", "use crate::Thing;")[0].contains("front door"));
    assert!(complaints("src/stray.rs", "use crate::low;")[0].contains("contents page"));
}

#[test]
fn a_downward_arrow_and_mere_words_are_let_through() {
    for source in [
        "use crate::low::Thing;",
        "use crate::middle::other;",
        "use super::low;",
        "//! [`crate::high::Thing`] is above us\n// use crate::high;",
        "const TEXT: &str = \"use crate::high;\";",
        "mod inner { use super::high; }",
        "fn f<'a>(x: &'a str) { let c = '\\''; let d = '{'; }",
        "#[cfg(test)]\nmod tests { use crate::high; fn f() { if true { } } }",
        "pub(crate) fn f() {}",
    ] {
        assert_eq!(complaints("src/middle.rs", source), [""; 0], "{source}");
    }
    assert_eq!(complaints("src/middle/part.rs", "use super::high;"), [""; 0]);
    assert_eq!(complaints("src/lib.rs", "pub use high::Thing;"), [""; 0]);
}

#[test]
fn a_crowded_contents_page_is_seen() {
    assert_eq!(crowded("mod a;\n\n/// B.\n#[cfg(x)]\nmod b;\n\npub use a::A;\n"), [""; 0]);
    assert_eq!(crowded("mod a;\nmod b;\n"), ["a", "b"]);
    assert_eq!(crowded("mod a;\n#[cfg(x)]\nmod b;\n"), ["a", "b"]);
    assert_eq!(crowded("mod a;\npub use a::A;\n"), ["a"]);
}

#[test]
fn impurity_is_seen_in_code_and_only_there() {
    for source in [
        "let now = Instant::now();",
        "let now = std::time::Instant :: now();",
        "let past = then.elapsed();",
        "use std::collections::{BTreeMap, HashMap};",
        "pub async fn f() {}",
        "use tokio::io::AsyncRead;",
        "std::thread::yield_now();",
    ] {
        assert_eq!(impurities(source).len(), 1, "{source}");
    }
    for source in [
        "fn f(now: Instant, elapsed: Duration) {}",
        "// Instant::now() is banned, HashMap too",
        "#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }",
    ] {
        assert_eq!(impurities(source), [""; 0], "{source}");
    }
}

#[test]
fn a_path_of_somebodys_machine_is_seen() {
    let named = format!("see {}x\nand {}", MACHINE_PATHS[0], MACHINE_PATHS[1]);
    assert_eq!(machine_paths("docs/a.md", &named).len(), 2);
    let corpora = concat!(": \"${SIGNIN_CORPORA:=../shar", "ed/corpora}\"");
    assert_eq!(machine_paths(".ci/run", corpora), [""; 0]);
    assert_eq!(machine_paths("tests/a.rs", corpora).len(), 1);
}
