//! What people see: pages as wide as the terminal, with colour only there and never alone.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};

/// What is well.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What is not.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What stands out.
pub const LOUD: Style = Style::new().bold();
/// What stands back.
pub const QUIET: Style = Style::new().dimmed();
/// What is said as it is.
pub const PLAIN: Style = Style::new();

/// How wide a page is where nobody says so.
const WIDTH: usize = 100;
/// No page is made narrower than that.
const NARROWEST: usize = 40;

/// Text on its way to standard output.
pub struct Page {
    text: String,
    width: usize,
}

impl Page {
    pub fn new() -> Self {
        Self { text: String::new(), width: width() }
    }

    pub fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A title above a part of the page.
    pub fn title(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.blank();
        }
        self.paragraph(LOUD, 0, title);
    }

    /// A paragraph, every line of it `indent` from the left.
    pub fn paragraph(&mut self, style: Style, indent: usize, text: &str) {
        self.item("", PLAIN, indent, style, text);
    }

    /// A head, and a text that begins in column `hang` and stays there when it goes on below.
    pub fn item(&mut self, head: &str, tint: Style, hang: usize, style: Style, text: &str) {
        let mut column = head.chars().count();
        self.text.push_str(&painted(tint, head));
        if column > 0 && column >= hang && !head.ends_with(' ') {
            self.text.push(' ');
            column = column.saturating_add(1);
        } else {
            self.pad(hang.saturating_sub(column));
            column = column.max(hang);
        }
        for (at, line) in wrapped(text, column, hang, self.width).iter().enumerate() {
            if at > 0 {
                self.text.push('\n');
                self.pad(hang);
            }
            self.text.push_str(&painted(style, line));
        }
        self.blank();
    }

    /// Rows of cells under each other; the last column is wrapped.
    pub fn table(&mut self, indent: usize, rows: &[(Style, Vec<String>)]) {
        let columns = rows.iter().map(|(_, row)| row.len()).max().unwrap_or_default();
        let wide = |column: usize| {
            let cells = rows.iter().filter_map(|(_, row)| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let last = columns.saturating_sub(1);
        for (style, row) in rows {
            let mut head = " ".repeat(indent);
            for (column, cell) in row.iter().enumerate().take(last) {
                head.push_str(&format!("{cell:<width$}  ", width = wide(column)));
            }
            let text = row.get(last).map_or("", String::as_str);
            let hang = head.chars().count();
            // Where the last column would be a sliver, it goes below.
            if hang.saturating_add(24) > self.width && !text.is_empty() {
                self.item(head.trim_end(), *style, 0, PLAIN, "");
                self.paragraph(*style, indent.saturating_add(4), text);
            } else {
                self.item(&head, *style, hang, *style, text);
            }
        }
    }

    fn pad(&mut self, count: usize) {
        self.text.extend(std::iter::repeat_n(' ', count));
    }

    /// Prints it.
    pub fn show(self) -> io::Result<()> {
        print(&self.text)
    }
}

/// A value as JSON, over several lines.
pub fn show_json(value: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    print(&(text + "\n"))
}

/// A value as JSON, in one line.
pub fn show_json_line(value: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    print(&(text + "\n"))
}

/// The line that stands on the terminal while something is awaited; it goes before anything else is
/// printed.
static MEANWHILE: Mutex<String> = Mutex::new(String::new());

/// Says on standard error, if that is a terminal, what is awaited.
pub fn say_meanwhile(line: &str) {
    if !io::stderr().is_terminal() {
        return;
    }
    let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
    let line: String = line.chars().take(width.saturating_sub(1)).collect();
    let mut said = MEANWHILE.lock().unwrap_or_else(PoisonError::into_inner);
    if *said != line {
        // A line that cannot be written is not missed.
        let _ = write!(io::stderr(), "\r\x1b[K{line}");
        *said = line;
    }
}

/// Takes that line away.
pub fn erase_meanwhile() {
    let mut said = MEANWHILE.lock().unwrap_or_else(PoisonError::into_inner);
    if !std::mem::take(&mut *said).is_empty() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// Prints text, without its colours where they are not wanted.
pub fn print(text: &str) -> io::Result<()> {
    erase_meanwhile();
    let mut out = anstream::stdout().lock();
    let trimmed: String = text.split_inclusive('\n').map(trim_line).collect();
    match out.write_all(trimmed.as_bytes()).and_then(|()| out.flush()) {
        // Nobody reads any more; the exit code still counts.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn trim_line(line: &str) -> String {
    match line.strip_suffix('\n') {
        Some(line) => line.trim_end().to_owned() + "\n",
        None => line.to_owned(),
    }
}

fn painted(style: Style, text: &str) -> String {
    if style == PLAIN || text.trim().is_empty() {
        return text.to_owned();
    }
    format!("{style}{text}{style:#}")
}

/// Breaks a text between its words; the first line begins in column `first`, the others in `hang`.
fn wrapped(text: &str, first: usize, hang: usize, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut column = first;
    for word in text.split(' ') {
        let long = word.chars().count();
        let empty = lines.last().is_none_or(String::is_empty);
        if !empty && column.saturating_add(1).saturating_add(long) > width {
            lines.push(String::new());
            column = hang;
        } else if !empty {
            column = column.saturating_add(1);
            lines.last_mut().into_iter().for_each(|line| line.push(' '));
        }
        column = column.saturating_add(long);
        lines.last_mut().into_iter().for_each(|line| line.push_str(word));
    }
    lines
}

/// The width of the terminal; of what is no terminal, what `COLUMNS` says, else endless.
fn width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let width = match said {
        Some(columns) => columns,
        None if io::stdout().is_terminal() => {
            terminal_size::terminal_size().map_or(WIDTH, |(width, _)| width.0.into())
        }
        None => usize::MAX,
    };
    width.max(NARROWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_wrapped_between_words_and_goes_on_below_itself() {
        assert_eq!(wrapped("a bb ccc", 4, 2, 8), ["a bb", "ccc"]);
        assert_eq!(wrapped("abcdefghij k", 0, 0, 4), ["abcdefghij", "k"]);
        assert_eq!(wrapped("", 0, 0, 4), [""]);
        let mut page = Page { text: String::new(), width: 40 };
        page.item("what", PLAIN, 8, PLAIN, "the words go on and on and on until the end");
        assert_eq!(page.text, "what    the words go on and on and on\n        until the end\n");
    }
}
