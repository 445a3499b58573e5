//! What commands print: data to stdout as a table, JSON or CSV; words for people to stderr.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::exit::{Exit, Failure};

/// Form of the data on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// Tables for people.
    #[default]
    Human,
    /// What the API answers.
    Json,
    /// One line a row, for spreadsheets.
    Csv,
}

/// One column of a table: its title and the JSON pointer of its cell in a row.
pub(super) type Column = (&'static str, &'static str);

/// How to speak to whoever started the command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    pub(super) form: Form,
    pub(super) quiet: bool,
}

impl Voice {
    /// Rows of objects, in the wanted form. `whole` is what JSON shows; the others show `columns` of `rows`.
    pub(super) fn rows(self, whole: &Value, rows: &[Value], columns: &[Column]) -> Result<(), Failure> {
        match self.form {
            Form::Json => self.json(whole),
            Form::Csv => self.csv(rows, columns),
            Form::Human if rows.is_empty() => {
                self.note("none");
                Ok(())
            }
            Form::Human => self.table(rows, columns),
        }
    }

    /// A page of a list, and how to see the next one.
    pub(super) fn page(
        self,
        whole: &Value,
        (rows, next): &(Vec<Value>, Option<String>),
        columns: &[Column],
    ) -> Result<(), Failure> {
        self.rows(whole, rows, columns)?;
        if let (Some(next), true) = (next, self.form != Form::Json) {
            self.note(&format!("there are more: add --cursor {next}"));
        }
        Ok(())
    }

    /// One object: its fields, one a line, or the object as JSON.
    pub(super) fn object(self, object: &Value) -> Result<(), Failure> {
        if self.form == Form::Json {
            return self.json(object);
        }
        let mut fields = Vec::new();
        flatten("", object, &mut fields);
        let rows: Vec<Value> = fields
            .into_iter()
            .map(|(k, v)| serde_json::json!({ "field": k, "value": v }))
            .collect();
        let columns = [("field", "/field"), ("value", "/value")];
        if self.form == Form::Csv {
            self.csv(&rows, &columns)
        } else {
            self.table(&rows, &columns)
        }
    }

    /// Any JSON.
    pub(super) fn json(self, value: &Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new(Exit::Failed, format!("the answer cannot be written: {error}")))?;
        self.text(&format!("{text}\n"))
    }

    fn table(self, rows: &[Value], columns: &[Column]) -> Result<(), Failure> {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns.iter().map(|(title, _)| title.to_uppercase()));
        for row in rows {
            table.add_row(columns.iter().map(|(_, pointer)| cell(row, pointer)));
        }
        let text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        self.text(&text)
    }

    fn csv(self, rows: &[Value], columns: &[Column]) -> Result<(), Failure> {
        let failed = |error: csv::Error| Failure::new(Exit::Failed, format!("the rows cannot be written: {error}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer
            .write_record(columns.iter().map(|(title, _)| *title))
            .map_err(failed)?;
        for row in rows {
            writer
                .write_record(columns.iter().map(|(_, pointer)| guarded(cell(row, pointer))))
                .map_err(failed)?;
        }
        let bytes = writer.into_inner().map_err(|error| failed(error.into_error().into()))?;
        self.text(&String::from_utf8_lossy(&bytes))
    }

    /// Text to stdout as it is. A reader that went away (`| head`) is no failure.
    pub(super) fn text(self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::Failed, format!("stdout cannot be written: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// A bar on stderr; invisible without a terminal and with `--quiet`.
    pub(super) fn bar(self, what: &str) -> ProgressBar {
        if self.quiet || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}, {eta} left");
        let bar = ProgressBar::new(0).with_message(what.to_owned());
        style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
    }

    /// A word to people, on stderr; silent with `--quiet`.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// What went wrong, on stderr, also with `--quiet`.
    pub(super) fn error(self, text: &str) {
        let _ = writeln!(std::io::stderr(), "error: {text}");
    }

    /// Asks before something that cannot be taken back. Without a terminal it insists on `--yes`.
    pub(super) fn confirm(self, yes: bool, question: &str) -> Result<bool, Failure> {
        if yes {
            return Ok(true);
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(format!(
                "{question} Add --yes to do it without being asked."
            )));
        }
        let _ = write!(std::io::stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

fn cell(row: &Value, pointer: &str) -> String {
    row.pointer(pointer).map_or_else(String::new, plain)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(plain).collect::<Vec<_>>().join(" ")
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Spreadsheets run cells that begin with these; a leading apostrophe keeps them text.
fn guarded(text: String) -> String {
    let risky = text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']);
    if risky && text.parse::<i64>().is_err() {
        format!("'{text}")
    } else {
        text
    }
}

fn flatten(path: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    if let Value::Object(object) = value {
        for (key, inner) in object {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            flatten(&path, inner, fields);
        }
    } else {
        fields.push((path.to_owned(), plain(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_stays_text() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-12", "-12"),
            ("plain", "plain"),
            ("-1+2", "'-1+2"),
        ] {
            assert_eq!(guarded(cell.to_owned()), written);
        }
    }

    #[test]
    fn an_object_is_shown_field_by_field() {
        let mut fields = Vec::new();
        flatten("", &json!({ "a": { "b": 1, "c": ["x", "y"] }, "d": null }), &mut fields);
        let shown: Vec<_> = fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(shown, ["a.b=1", "a.c=x y", "d="]);
    }
}
