//! Reads TOML that people write, and says for everything wrong with it on which line, at which key and what to do.
//!
//! A [`Table`] is asked for its keys one by one; [`Table::finish`] then reports the keys nobody asked for. Problems
//! are collected, so that one run shows them all. The plan catalogue and the configuration file are read through it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most problems reported at once: nobody repairs more in one go, and a wrong file type would give thousands.
pub const PROBLEMS_MAX: usize = 50;

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Path of the key, for instance `plan[1].price[0].interval`.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "line {}: {}", self.line, self.message)
        } else {
            write!(f, "line {}, key `{}`: {}", self.line, self.key, self.message)
        }
    }
}

/// Collects problems of one text.
pub struct Report<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Report<'t> {
    /// Of this text.
    #[must_use]
    pub const fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: RefCell::new(Vec::new()),
        }
    }

    /// Parses the text; a syntax error becomes the only problem.
    pub fn parse(&self) -> Option<Spanned<DeTable<'t>>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(table),
            Err(error) => {
                self.add(
                    error.span().unwrap_or(0..0),
                    "",
                    format!("not valid TOML: {}", error.message()),
                );
                None
            }
        }
    }

    /// Adds a problem at a place.
    pub fn add(&self, at: Range<usize>, key: &str, message: impl Into<String>) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < PROBLEMS_MAX {
            problems.push(Problem {
                line: self.line(at.start),
                key: key.to_owned(),
                message: message.into(),
            });
        }
    }

    /// The line of a byte offset, from 1.
    #[must_use]
    pub fn line(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        self.text
            .as_bytes()
            .get(..end)
            .map_or(1, |before| 1 + before.iter().filter(|byte| **byte == b'\n').count())
    }

    /// Whether nothing was wrong so far.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// All problems, by line.
    #[must_use]
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems
    }
}

/// One value with its place and the path of its key.
pub struct Value<'r, 't> {
    report: &'r Report<'t>,
    /// Path of the key.
    pub path: String,
    /// Where the value stands.
    pub at: Range<usize>,
    value: &'r DeValue<'t>,
}

impl<'r, 't> Value<'r, 't> {
    /// The line it stands on, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.report.line(self.at.start)
    }

    /// Reports a problem at this value.
    pub fn wrong(&self, message: impl Into<String>) {
        self.report.add(self.at.clone(), &self.path, message);
    }

    fn wanted(&self, what: &str) {
        self.wrong(format!("{what} is wanted here, not {}", kind_of(self.value)));
    }

    /// Text that is not blank.
    #[must_use]
    pub fn text(&self) -> Option<&'r str> {
        match self.value.as_str() {
            Some(text) if text.trim().is_empty() => {
                self.wrong("must not be blank");
                None
            }
            Some(text) => Some(text),
            None => {
                self.wanted("a text in quotes");
                None
            }
        }
    }

    /// A whole number inside a range.
    #[must_use]
    pub fn integer(&self, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let Some(number) = self.value.as_integer() else {
            self.wanted("a whole number");
            return None;
        };
        let parsed = i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|n| range.contains(n));
        if parsed.is_none() {
            self.wrong(format!(
                "must be a whole number from {} to {}",
                range.start(),
                range.end()
            ));
        }
        parsed
    }

    /// A whole number that is not negative.
    #[must_use]
    pub fn unsigned(&self, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let clamp = |bound: u64| i64::try_from(bound).unwrap_or(i64::MAX);
        let number = self.integer(clamp(*range.start())..=clamp(*range.end()))?;
        u64::try_from(number).ok()
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.wanted("true or false");
        }
        flag
    }

    /// One of a few words.
    #[must_use]
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let list: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.wrong(format!("{text:?} is not known here; use {}", list.join(", ")));
        }
        found
    }

    /// A table.
    #[must_use]
    pub fn table(&self) -> Option<Table<'r, 't>> {
        let table = self.value.as_table();
        if table.is_none() {
            self.wanted("a table");
        }
        table.map(|table| Table::new(self.report, self.path.clone(), self.at.clone(), table))
    }

    /// The elements of an array.
    #[must_use]
    pub fn elements(&self) -> Vec<Value<'r, 't>> {
        let Some(array) = self.value.as_array() else {
            self.wanted("a list in square brackets");
            return Vec::new();
        };
        let element = |(index, value): (usize, &'r Spanned<DeValue<'t>>)| Value {
            report: self.report,
            path: format!("{}[{index}]", self.path),
            at: value.span(),
            value: value.get_ref(),
        };
        array.iter().enumerate().map(element).collect()
    }

    /// Whether it is a table, a text, a number or a list: to choose between two ways of writing.
    #[must_use]
    pub const fn raw(&self) -> &'r DeValue<'t> {
        self.value
    }
}

/// A table that remembers which of its keys were asked for.
pub struct Table<'r, 't> {
    report: &'r Report<'t>,
    /// Path of the table; empty for the whole file.
    pub path: String,
    /// Where the table stands: its header or its braces.
    pub at: Range<usize>,
    table: &'r DeTable<'t>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'r, 't> Table<'r, 't> {
    /// A table of a report's text.
    #[must_use]
    pub const fn new(report: &'r Report<'t>, path: String, at: Range<usize>, table: &'r DeTable<'t>) -> Self {
        Self {
            report,
            path,
            at,
            table,
            asked: RefCell::new(BTreeSet::new()),
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value of a key, if it is there.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'r, 't>> {
        self.asked.borrow_mut().insert(key.to_owned());
        let value = self.table.get(key)?;
        Some(Value {
            report: self.report,
            path: self.path_of(key),
            at: value.span(),
            value: value.get_ref(),
        })
    }

    /// The value of a key that must be there.
    #[must_use]
    pub fn need(&self, key: &str) -> Option<Value<'r, 't>> {
        let value = self.get(key);
        if value.is_none() {
            self.report
                .add(self.at.clone(), &self.path_of(key), "is missing; add it");
        }
        value
    }

    /// Reports a problem at a key, or at the table when the key is not there.
    pub fn wrong(&self, key: &str, message: impl Into<String>) {
        let at = self.table.get(key).map_or_else(|| self.at.clone(), Spanned::span);
        let path = if key.is_empty() {
            self.path.clone()
        } else {
            self.path_of(key)
        };
        self.report.add(at, &path, message);
    }

    /// Every key with its value, in the order of the file; all count as asked for.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Value<'r, 't>)> {
        let mut keys: Vec<_> = self.table.iter().collect();
        keys.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&'r Spanned<toml::de::DeString<'t>>, &'r Spanned<DeValue<'t>>)| {
            let name = key.get_ref().to_string();
            self.asked.borrow_mut().insert(name.clone());
            let path = self.path_of(&name);
            (
                name,
                Value {
                    report: self.report,
                    path,
                    at: key.span(),
                    value: value.get_ref(),
                },
            )
        };
        keys.into_iter().map(entry).collect()
    }

    /// Tables of an array of tables; none when the key is not there.
    #[must_use]
    pub fn tables(&self, key: &str) -> Vec<Table<'r, 't>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        value.elements().iter().filter_map(Value::table).collect()
    }

    /// Reports every key nobody asked for.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if asked.contains(name) {
                continue;
            }
            let hint = nearest(name, asked.iter().map(String::as_str)).map_or_else(
                || format!("known here: {}", join(&asked)),
                |near| format!("did you mean `{near}`?"),
            );
            self.report
                .add(key.span(), &self.path_of(name), format!("is not known; {hint}"));
        }
    }
}

fn join(words: &BTreeSet<String>) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

const fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The word at most two edits away from `wrong`, for "did you mean".
#[must_use]
pub fn nearest<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|word| (edits(wrong, word), word))
        .filter(|(edits, _)| *edits <= 2)
        .min()
        .map(|(_, word)| word)
}

fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let left = next.last().copied().unwrap_or(usize::MAX - 1);
            let corner = row.get(j).copied().unwrap_or(usize::MAX - 1);
            next.push((above + 1).min(left + 1).min(corner + usize::from(from != *to)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_names_its_line_and_key() {
        let text = "a = 1\n\n[b]\ncolour = \"\"\nnaem = true\n\n[[c]]\nx = 1\n[[c]]\nx = 1.5\n";
        let report = Report::new(text);
        let root = report.parse().unwrap();
        let table = Table::new(&report, String::new(), 0..0, root.get_ref());
        assert_eq!(table.get("a").unwrap().integer(0..=1), Some(1));
        let b = table.get("b").unwrap().table().unwrap();
        assert_eq!(b.get("colour").unwrap().text(), None);
        assert!(b.get("name").is_none());
        assert!(b.need("size").is_none());
        b.finish();
        for c in table.tables("c") {
            let _ = c.get("x").unwrap().integer(0..=9);
        }
        table.finish();
        let lines: Vec<_> = report.into_problems().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "line 3, key `b.size`: is missing; add it",
                "line 4, key `b.colour`: must not be blank",
                "line 5, key `b.naem`: is not known; did you mean `name`?",
                "line 10, key `c[1].x`: a whole number is wanted here, not a number with a point",
            ]
        );
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let report = Report::new("a = 1\nb = \nc = 2\n");
        assert!(report.parse().is_none());
        let problems = report.into_problems();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].line, 2);
    }
}
