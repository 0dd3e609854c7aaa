//! `docs/specification.md` keeps its word: every clause has code and a test, and everything it names
//! is there. Below, it is shown that the check can fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The clauses of each series; the numbers have no gap.
const SERIES: [(&str, usize); 7] =
    [("S1.", 55), ("S2.", 18), ("R", 16), ("N", 8), ("P", 5), ("L", 8), ("T", 5)];

/// What may be waited for.
const MILESTONES: [&str; 3] = ["Compression", "Redirects", "Signing in"];

#[test]
fn every_clause_has_code_and_tests_that_are_there() {
    let page = file("docs/specification.md").expect("the specification");
    let specification = Specification::read(&page);
    let faults = specification.faults(&file);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    for (series, count) in SERIES {
        let missing: Vec<_> = (1..=count)
            .map(|number| format!("{series}{number}"))
            .filter(|id| !specification.clauses.contains_key(id))
            .collect();
        assert!(missing.is_empty(), "no such clause: {missing:?}");
    }
}

/// The threats are such a page too, and each attack that is tried stands in it.
#[test]
fn every_threat_has_a_rule_and_tests_that_are_there() {
    let page = file("docs/threats.md").expect("the threats");
    let threats = Specification::read(&page);
    let faults = threats.faults(&file);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!((1..=22).all(|number| threats.clauses.contains_key(&format!("T{number}"))));
    let mut tried = 0;
    for path in
        ["auth", "names", "redirects", "text"].map(|name| format!("tests/attacks/{name}.rs"))
    {
        let source = file(&path).expect("the attacks");
        let tests = source.split("#[tokio::test]\nasync fn ").skip(1);
        for name in tests.map(|test| test.split('(').next().unwrap()) {
            assert!(page.contains(&format!("`{path}::{name}`")), "{name} stands in no row");
            tried += 1;
        }
    }
    assert!(tried >= 17, "only {tried} attacks were found");
}

#[test]
fn nothing_is_only_planned() {
    for page in ["docs/specification.md", "docs/threats.md"] {
        let planned = Specification::read(&file(page).expect(page)).planned();
        assert!(planned.is_empty(), "{} planned:\n{}", planned.len(), planned.join("\n"));
    }
}

fn file(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// The text of a file of the repository, if it is there.
type World<'a> = &'a dyn Fn(&str) -> Option<String>;

#[derive(Default)]
struct Specification {
    clauses: BTreeMap<String, Clause>,
    /// What could not be read at all.
    unread: Vec<String>,
}

enum Clause {
    Now { code: Vec<Reference>, tests: Vec<Reference> },
    NotYet { milestone: String, reason: String },
}

#[derive(Clone)]
struct Reference {
    planned: bool,
    path: String,
    item: Option<String>,
}

impl Specification {
    fn read(page: &str) -> Self {
        let mut read = Self::default();
        let mut later = false;
        for line in page.lines() {
            if line.starts_with('#') {
                later = line.ends_with("# Not yet");
            }
            let Some(cells) = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")) else {
                continue;
            };
            let cells: Vec<&str> = cells.split(" | ").collect();
            let id = cells[0].to_owned();
            if !id.starts_with(|c: char| c.is_ascii_uppercase()) {
                continue;
            }
            let clause = match *cells.as_slice() {
                [_, says, ..]
                    if id.starts_with('S') && !(says.starts_with('“') && says.len() > 12) =>
                {
                    Err("no quotation".to_owned())
                }
                [_, _, milestone, reason] if later => Ok(Clause::NotYet {
                    milestone: milestone.to_owned(),
                    reason: reason.to_owned(),
                }),
                [_, _, does, code, tests] if !later && does.len() > 2 => references(code)
                    .and_then(|code| Ok(Clause::Now { code, tests: references(tests)? })),
                _ => Err(format!("{} cells", cells.len())),
            };
            match clause {
                Ok(clause) => {
                    if read.clauses.insert(id.clone(), clause).is_some() {
                        read.unread.push(format!("{id}: stands twice"));
                    }
                }
                Err(why) => read.unread.push(format!("{id}: {why}")),
            }
        }
        read
    }

    fn faults(&self, world: World) -> Vec<String> {
        let mut faults = self.unread.clone();
        for (id, clause) in &self.clauses {
            let mut fault = |what: String| faults.push(format!("{id}: {what}"));
            let (code, tests) = match clause {
                Clause::NotYet { milestone, reason } => {
                    if !MILESTONES.contains(&milestone.as_str()) {
                        fault(format!("no such milestone: {milestone}"));
                    }
                    if reason.len() < 8 {
                        fault("not yet, but why?".to_owned());
                    }
                    continue;
                }
                Clause::Now { code, tests } => (code, tests),
            };
            if code.is_empty() {
                fault("no code".to_owned());
            }
            if tests.is_empty() {
                fault("no test".to_owned());
            }
            for reference in code {
                code_fault(reference, world).map(&mut fault);
            }
            for reference in tests {
                test_fault(reference, world).map(&mut fault);
            }
        }
        faults
    }

    fn planned(&self) -> Vec<String> {
        let mut planned = Vec::new();
        for (id, clause) in &self.clauses {
            if let Clause::Now { code, tests } = clause {
                let marked = code.iter().chain(tests).filter(|reference| reference.planned);
                planned.extend(marked.map(|reference| format!("{id}: {}", reference.shown())));
            }
        }
        planned
    }
}

/// A cell of `path::to::item` in backticks, some with *planned* in front; nothing else.
fn references(cell: &str) -> Result<Vec<Reference>, String> {
    let mut references = Vec::new();
    let mut planned = false;
    for word in cell.split_whitespace() {
        if word == "planned" {
            planned = true;
            continue;
        }
        let name = word.strip_prefix('`').and_then(|word| word.strip_suffix('`'));
        let name = name.ok_or_else(|| format!("`{word}` is neither a reference nor a mark"))?;
        let (path, item) = match name.split_once("::") {
            Some((path, item)) => (path, Some(item.to_owned())),
            None => (name, None),
        };
        references.push(Reference { planned, path: path.to_owned(), item });
        planned = false;
    }
    if planned { Err("planned, but what?".to_owned()) } else { Ok(references) }
}

impl Reference {
    fn shown(&self) -> String {
        self.item.as_ref().map_or(self.path.clone(), |item| format!("{}::{item}", self.path))
    }

    /// The fault, if being there and being marked do not fit together.
    fn judge(&self, there: bool) -> Option<String> {
        match (self.planned, there) {
            (true, true) => Some(format!("{} is there: take the mark away", self.shown())),
            (false, false) => Some(format!("{} is not there", self.shown())),
            _ => None,
        }
    }
}

fn code_fault(reference: &Reference, world: World) -> Option<String> {
    if !reference.path.starts_with("src/") {
        return Some(format!("{} is not the library's code", reference.shown()));
    }
    let text = world(&reference.path);
    let there = match &reference.item {
        None => text.is_some(),
        Some(item) => text.is_some_and(|text| text.lines().any(|line| defines(line, item))),
    };
    reference.judge(there)
}

/// Whether a line declares an item, a variant or a field of this name.
fn defines(line: &str, item: &str) -> bool {
    const BEFORE: [&str; 10] = [
        "pub",
        "pub(crate)",
        "pub(super)",
        "const",
        "async",
        "fn",
        "struct",
        "enum",
        "trait",
        "type",
    ];
    let mut rest = line.trim_start();
    while let Some((_, tail)) = rest.split_once(' ').filter(|(w, _)| BEFORE.contains(w)) {
        rest = tail;
    }
    rest.strip_prefix(item).is_some_and(|after| {
        after.is_empty() || after.starts_with([',', '(', '{', ':', '<', ' ', ';'])
    })
}

fn test_fault(reference: &Reference, world: World) -> Option<String> {
    let text = world(&reference.path);
    let path = &reference.path;
    let in_tests =
        path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs");
    let there = match &reference.item {
        None if in_tests && !reference.path.ends_with(".rs") => {
            text.is_some_and(|text| !text.trim().is_empty())
        }
        Some(item) if in_tests => text.is_some_and(|text| has_test(&text, item)),
        Some(item) if reference.path.starts_with("src/") => {
            let Some(name) = item.strip_prefix("tests::") else {
                return Some(format!("{} is not a test", reference.shown()));
            };
            text.is_some_and(|text| has_test(&text, name))
        }
        _ => return Some(format!("{} is not a test", reference.shown())),
    };
    reference.judge(there)
}

/// Whether there is a function of this name with a test attribute above it, and not ignored.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let begins = |line: &str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ")
            .and_then(|line| line.strip_prefix(name))
            .is_some_and(|line| line.starts_with('('))
    };
    lines.iter().enumerate().filter(|(_, line)| begins(line)).any(|(at, _)| {
        let above = lines[..at].iter().rev();
        let above: Vec<_> = above.take_while(|line| line.starts_with(['#', '/'])).collect();
        let attribute = |start: &str| above.iter().any(|line| line.starts_with(start));
        (attribute("#[test]") || attribute("#[tokio::test")) && !attribute("#[ignore")
    })
}

// ---- the check itself can fail

fn world(path: &str) -> Option<String> {
    let text = match path {
        "src/a.rs" => {
            "pub struct Thing;\nimpl Thing {\n    pub fn verb(&self) {}\n}\n#[test]\nfn t() {}"
        }
        "tests/b.rs" => {
            "#[test]\n#[cfg(x)]\nfn good() {}\nfn helper() {}\n\
             /// Why.\n#[tokio::test]\nasync fn later() {}\n#[test]\n#[ignore]\nfn never() {}"
        }
        "tests/transcripts/c.txt" => "address sip:jeremy@contoso.com",
        "tests/transcripts/empty.txt" => "",
        _ => return None,
    };
    Some(text.to_owned())
}

fn faults(row: &str) -> Vec<String> {
    Specification::read(row).faults(&world)
}

#[test]
fn a_good_clause_passes() {
    for tests in [
        "`tests/b.rs::good`",
        "`tests/b.rs::later`",
        "`tests/transcripts/c.txt`",
        "`src/a.rs::tests::t`",
        "planned `tests/b.rs::not_there_yet` `tests/b.rs::good`",
    ] {
        let row =
            format!("| S1.1 | “Communicator connects.” | It does. | `src/a.rs::verb` | {tests} |");
        assert_eq!(faults(&row), [""; 0], "{tests}");
    }
    let later = "## Not yet\n| S1.1 | “Communicator compresses.” | Compression | Not needed. |";
    assert_eq!(faults(later), [""; 0]);
    assert_eq!(faults("| # | The article says | What happens | Code | Tests |"), [""; 0]);
}

#[test]
fn a_clause_that_promises_too_much_is_seen() {
    for (code, tests, fault) in [
        ("`src/a.rs`", "", "no test"),
        ("", "`tests/b.rs::good`", "no code"),
        ("`src/nowhere.rs`", "`tests/b.rs::good`", "not there"),
        ("`src/a.rs::Other`", "`tests/b.rs::good`", "not there"),
        ("`tests/b.rs::good`", "`tests/b.rs::good`", "not the library's code"),
        ("`src/a.rs`", "`tests/b.rs::bad`", "not there"),
        ("`src/a.rs`", "`tests/b.rs::helper`", "not there"),
        ("`src/a.rs`", "`tests/b.rs::never`", "not there"),
        ("`src/a.rs`", "`tests/b.rs`", "not a test"),
        ("`src/a.rs`", "`src/a.rs::verb`", "not a test"),
        ("`src/a.rs`", "`tests/transcripts/d.txt`", "not there"),
        ("`src/a.rs`", "`tests/transcripts/empty.txt`", "not there"),
        ("`src/a.rs`", "planned `tests/b.rs::good`", "take the mark away"),
        ("`src/a.rs`", "by reading it", "neither"),
    ] {
        let row = format!("| S1.1 | “Communicator connects.” | It does. | {code} | {tests} |");
        let faults = faults(&row);
        assert!(faults.len() == 1 && faults[0].contains(fault), "{row}: {faults:?}");
    }
}

#[test]
fn a_row_that_cannot_be_read_is_seen() {
    for row in [
        "| S1.1 | Communicator connects. | It does. | `src/a.rs` | `tests/b.rs::good` |",
        "| S1.1 | “Communicator connects.” | `src/a.rs` | `tests/b.rs::good` |",
        "## Not yet\n| S1.1 | “Communicator compresses.” | Some day | Not needed. |",
        "## Not yet\n| S1.1 | “Communicator compresses.” | Compression |  |",
        "| S1.1 | “Communicator connects.” | It does. | `src/a.rs` | `tests/b.rs::good` planned |",
    ] {
        assert_eq!(faults(row).len(), 1, "{row}");
    }
    let row = "| S1.1 | “Communicator connects.” | It does. | `src/a.rs` | `tests/b.rs::good` |";
    assert_eq!(faults(&format!("{row}\n{row}")), ["S1.1: stands twice"]);
}
