//! `docs/tool.md` keeps its word: each command that it shows prints what it says.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{finish, tool};

/// The fenced blocks of the page: their language and their text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, fenced)) = rest.split_once("\n```") {
        let (language, text) = fenced.split_once('\n').unwrap();
        let (text, after) = text.split_once("```").unwrap();
        blocks.push((language, text));
        rest = after;
    }
    blocks
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// `TOOL_PAGE=write cargo test --test tool page` writes what the tool prints into the page.
#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tool.md");
    let mut page = std::fs::read_to_string(&path).unwrap();
    let copy = page.clone();
    let blocks = blocks(&copy);
    let of = |language| blocks.iter().filter(move |(known, _)| *known == language);
    let world = of("toml").next().unwrap().1;
    let answer = of("text").find(|(_, text)| text.starts_with("SIP/2.0")).unwrap().1;
    std::fs::write(folder().join("world.toml"), world).unwrap();
    std::fs::write(folder().join("answer.txt"), answer).unwrap();
    let mut shown = 0;
    for pair in blocks.windows(2) {
        let [("sh", command), ("json", said)] = pair else { continue };
        let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
        let ran = finish(tool().args(&arguments).current_dir(folder()));
        assert!(ran.code < 2, "{command}: {}", ran.err);
        shown += 1;
        if std::env::var("TOOL_PAGE").is_ok_and(|what| what == "write") {
            let old = format!("{command}```\n\n```json\n{said}```");
            assert!(page.contains(&old), "{old}");
            page = page.replace(&old, &format!("{command}```\n\n```json\n{}```", ran.out));
            continue;
        }
        if arguments[0] == "demo" {
            let said = serde_json::from_str(said).unwrap();
            assert_eq!(shape(&ran.json()), shape(&said), "{command}");
        } else {
            assert_eq!(ran.out, *said, "{command}");
        }
    }
    assert!(shown >= 7, "only {shown} commands were found");
    if page != copy {
        std::fs::write(path, page).unwrap();
    }
}

/// Names and types, without the values.
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(items) => format!("[{}]", items.first().map(shape).unwrap_or_default()),
        Value::Object(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(k, v)| format!("{k}: {}", shape(v))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// What the page calls words are the tool’s words.
#[test]
fn the_page_names_every_word_and_every_policy() {
    let page = include_str!("../../docs/tool.md");
    let words = include_str!("../../src/bin/sip-signin/words.rs");
    let quoted =
        |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<String>>();
    let lists = words.split("pub const ").skip(1).take(2);
    let listed: Vec<_> = lists.flat_map(|l| quoted(l.split("];").next().unwrap())).collect();
    assert!(listed.len() > 20, "{listed:?}");
    let policies = include_str!("../../src/bin/sip-signin/settings.rs");
    let renamed = policies.split("#[serde(rename = ").skip(1);
    let renamed: Vec<_> = renamed.flat_map(|rest| quoted(rest).into_iter().take(1)).collect();
    assert!(renamed.len() > 10, "{renamed:?}");
    for word in listed.iter().chain(&renamed) {
        assert!(page.contains(&format!("`{word}`")), "{word} is not on the page");
    }
}

/// The captures in the README, but for the one of a deployment that nobody has.
#[test]
fn the_readme_shows_what_the_tool_prints() {
    let readme = include_str!("../../README.md");
    let copy = |name: &str, text: &str| std::fs::write(folder().join(name), text).unwrap();
    copy("planned.toml", include_str!("planned.toml"));
    copy(
        "response.txt",
        "SIP/2.0 403 Forbidden\n\
         ms-diagnostics: 4004;reason=\"Not authorized\";source=\"pool01.contoso.com\"\n",
    );
    let mut shown = 0;
    for (language, text) in blocks(readme) {
        for capture in text.split("$ sip-signin ").skip(1).filter(|_| language == "text") {
            let (arguments, said) = capture.split_once('\n').unwrap();
            if said.contains('…') {
                continue;
            }
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            let mut command = tool();
            command.args(&arguments).env("COLUMNS", "80").current_dir(folder());
            assert_eq!(finish(&mut command).out.trim_end(), said.trim_end(), "{arguments:?}");
            shown += 1;
        }
    }
    assert_eq!(shown, 3);
}
