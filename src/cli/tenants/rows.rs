//! Rows of an import file, checked one by one; what is wrong is told with its line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use aggregates::ids::{CustomerId, TenantId};
use aggregates::money::Currency;
use serde_json::{Map, Value};

use super::super::exit::{Exit, Failure};
use crate::process::accounts::{METADATA_CHARS_MAX, METADATA_ENTRIES_MAX, TEXT_CHARS_MAX};

/// Largest import file, in bytes: it is read as a stream, but its errors and its report are not.
pub(super) const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest line of JSONL, in bytes: more than any tenant's body may have.
const LINE_BYTES_MAX: u64 = 64 * 1024;

const FIELDS: [&str; 6] = ["tenant", "stripe_customer", "name", "email", "currency", "metadata"];

/// One tenant to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) tenant: String,
    /// Body of `PUT /v1/tenants/{tenant}`.
    pub(super) body: Value,
}

/// A row that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowError {
    pub(super) line: u64,
    pub(super) message: String,
}

type Read1 = Result<Row, RowError>;

/// All rows of a file. Fails as a whole only when the file cannot be read or has no usable header.
pub(super) fn read(path: &Path) -> Result<Vec<Read1>, Failure> {
    let file = File::open(path).map_err(|error| Failure::file(path, &error))?;
    let bytes = file.metadata().map_err(|error| Failure::file(path, &error))?.len();
    if bytes > FILE_BYTES_MAX {
        let message = format!(
            "{} has {bytes} bytes; at most {FILE_BYTES_MAX} are read: split it",
            path.display()
        );
        return Err(Failure::usage(message));
    }
    let name = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
        .to_lowercase();
    let rows = match name.as_str() {
        "csv" => csv_rows(file, path)?,
        "jsonl" | "ndjson" => json_rows(file, path)?,
        _ => {
            return Err(Failure::usage(format!(
                "{}: the name must end in .csv or .jsonl",
                path.display()
            )));
        }
    };
    Ok(once_each(rows))
}

/// A tenant or a customer that a former row has is an error of the latter row.
fn once_each(rows: Vec<Read1>) -> Vec<Read1> {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut check = |row: Row| {
        let customer = row.body.get("stripe_customer").and_then(Value::as_str);
        for key in [
            Some(format!("tenant {}", row.tenant)),
            customer.map(|id| format!("customer {id}")),
        ]
        .into_iter()
        .flatten()
        {
            if let Some(first) = seen.get(&key) {
                let message = format!("the {key} is on line {first} already; keep one of them");
                return Err(RowError {
                    line: row.line,
                    message,
                });
            }
            seen.insert(key, row.line);
        }
        Ok(row)
    };
    rows.into_iter().map(|row| row.and_then(&mut check)).collect()
}

fn csv_rows(file: File, path: &Path) -> Result<Vec<Read1>, Failure> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(BufReader::new(file));
    let headers = reader
        .headers()
        .map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", path.display())))?
        .clone();
    check_headers(&headers).map_err(|message| Failure::usage(format!("{}: {message}", path.display())))?;
    let mut rows = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let line = index as u64 + 2;
        rows.push(match record {
            Ok(record) if record.len() != headers.len() => Err(RowError {
                line: record.position().map_or(line, csv::Position::line),
                message: format!("has {} fields, the header has {}", record.len(), headers.len()),
            }),
            // A quote that is not closed would take the rows after it for a part of its cell.
            Ok(record) if record.iter().any(|cell| cell.contains(['\n', '\r'])) => Err(RowError {
                line: record.position().map_or(line, csv::Position::line),
                message: "a cell goes on in the next line; close its quote, or write the text in one line".to_owned(),
            }),
            Ok(record) => csv_row(&headers, &record, record.position().map_or(line, csv::Position::line)),
            Err(error) => Err(RowError {
                line: error.position().map_or(line, csv::Position::line),
                message: error.to_string(),
            }),
        });
    }
    Ok(rows)
}

/// The first line must name the columns, each once, `tenant` among them.
fn check_headers(headers: &csv::StringRecord) -> Result<(), String> {
    let names: Vec<&str> = headers.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
    let use_these = format!("use {}, or metadata.<key>", FIELDS.join(", "));
    if names.iter().all(|name| name.is_empty()) {
        return Err(format!(
            "it is empty; its first line must name the columns: {use_these}"
        ));
    }
    for (at, name) in names.iter().enumerate() {
        if !FIELDS.contains(name) && name.strip_prefix("metadata.").is_none_or(str::is_empty) {
            return Err(format!("the column {name:?} is not known; {use_these}"));
        }
        if names[..at].contains(name) {
            return Err(format!("the column {name:?} is there twice; keep one of them"));
        }
    }
    if names.contains(&"tenant") {
        Ok(())
    } else {
        Err(format!("there is no column tenant; {use_these}"))
    }
}

fn csv_row(headers: &csv::StringRecord, record: &csv::StringRecord, line: u64) -> Read1 {
    let mut fields = Map::new();
    let mut metadata = Map::new();
    for (name, cell) in headers.iter().zip(record).filter(|(_, cell)| !cell.is_empty()) {
        let name = name.trim_start_matches('\u{feff}');
        if let Some(key) = name.strip_prefix("metadata.") {
            metadata.insert(key.to_owned(), cell.into());
        } else if name == "metadata" {
            let object: Map<String, Value> = serde_json::from_str(cell).map_err(|_| RowError {
                line,
                message: "metadata is not a JSON object".to_owned(),
            })?;
            metadata.extend(object);
        } else {
            fields.insert(name.to_owned(), cell.into());
        }
    }
    if !metadata.is_empty() {
        fields.insert("metadata".to_owned(), Value::Object(metadata));
    }
    row(fields, line)
}

fn json_rows(file: File, path: &Path) -> Result<Vec<Read1>, Failure> {
    let mut reader = BufReader::new(file);
    let mut rows = Vec::new();
    for line in 1.. {
        let mut text = Vec::new();
        let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        if read.map_err(|error| Failure::file(path, &error))? == 0 {
            break;
        }
        if text.len() as u64 == LINE_BYTES_MAX && text.last() != Some(&b'\n') {
            return Err(Failure::usage(format!(
                "{}, line {line}: longer than {LINE_BYTES_MAX} bytes",
                path.display()
            )));
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        rows.push(match serde_json::from_slice::<Map<String, Value>>(&text) {
            Ok(object) => row(object, line),
            Err(error) => Err(RowError {
                line,
                message: format!("not a JSON object: {error}"),
            }),
        });
    }
    Ok(rows)
}

fn row(mut fields: Map<String, Value>, line: u64) -> Read1 {
    let wrong = |message: String| RowError { line, message };
    fields.retain(|_, value| !value.is_null());
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(wrong(format!(
            "the field {unknown:?} is not known; use {}",
            FIELDS.join(", ")
        )));
    }
    for (name, value) in fields.iter().filter(|(name, _)| *name != "metadata") {
        if !value.is_string() {
            return Err(wrong(format!("{name} must be a text")));
        }
    }
    let tenant = match fields.remove("tenant") {
        Some(Value::String(tenant)) => tenant,
        Some(_) | None => return Err(wrong("tenant is missing".to_owned())),
    };
    TenantId::parse(&tenant).map_err(|error| wrong(error.to_string()))?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if let Some(customer) = text("stripe_customer") {
        CustomerId::parse(customer).map_err(|error| wrong(error.to_string()))?;
        if !customer.starts_with("cus_") {
            return Err(wrong(format!(
                "{customer:?} is not a Stripe customer id; it begins with cus_"
            )));
        }
    }
    if let Some(currency) = text("currency") {
        Currency::parse(currency).map_err(|error| wrong(error.to_string()))?;
    }
    for name in ["name", "email"] {
        let is_plain = |text: &str| text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control);
        if !text(name).is_none_or(is_plain) {
            return Err(wrong(format!(
                "{name} must be at most {TEXT_CHARS_MAX} characters without control characters"
            )));
        }
    }
    check_metadata(fields.get("metadata")).map_err(wrong)?;
    Ok(Row {
        line,
        tenant,
        body: Value::Object(fields),
    })
}

/// As the API will check it, so that a dry run says what a run would.
fn check_metadata(metadata: Option<&Value>) -> Result<(), String> {
    let Some(metadata) = metadata else { return Ok(()) };
    let Some(entries) = metadata.as_object() else {
        return Err("metadata must be a JSON object".to_owned());
    };
    if entries.len() > METADATA_ENTRIES_MAX {
        return Err(format!("metadata has more than {METADATA_ENTRIES_MAX} entries"));
    }
    for (key, value) in entries {
        match value.as_str() {
            None => return Err(format!("metadata {key:?} must be a text")),
            Some(text) if text.chars().count() > METADATA_CHARS_MAX => {
                return Err(format!(
                    "metadata {key:?} is longer than {METADATA_CHARS_MAX} characters"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(name: &str, text: &str) -> Result<Vec<Read1>, Failure> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    fn told(rows: Vec<Read1>) -> Vec<String> {
        rows.into_iter()
            .map(|row| row.map_or_else(|e| format!("{}: {}", e.line, e.message), |r| format!("{}: ok", r.line)))
            .collect()
    }

    #[test]
    fn csv_rows_are_checked_line_by_line() {
        let text = "tenant,stripe_customer,name,metadata.region\n\
            acme,cus_1,\"Acme, Inc\",eu\n\
            ,cus_2,x,\n\
            me,cus_3,x,\n\
            globex,abc,x,\n\
            acme,cus_4,x,\n\
            initech,cus_1,x,\n\
            short,cus_9\n\
            umbrella,,,\n";
        let rows = rows("t.csv", text).unwrap();
        let first = rows[0].clone().unwrap();
        assert_eq!(
            first.body,
            json!({ "stripe_customer": "cus_1", "name": "Acme, Inc", "metadata": { "region": "eu" } })
        );
        assert_eq!(
            told(rows),
            [
                "2: ok",
                "3: tenant is missing",
                "4: \"me\" is not a valid tenant id: `me` and names that begin with `cus_` are reserved",
                "5: \"abc\" is not a Stripe customer id; it begins with cus_",
                "6: the tenant acme is on line 2 already; keep one of them",
                "7: the customer cus_1 is on line 2 already; keep one of them",
                "8: has 2 fields, the header has 4",
                "9: ok",
            ]
        );
    }

    #[test]
    fn jsonl_rows_are_checked_line_by_line() {
        let text = "{\"tenant\":\"acme\",\"email\":\"a@b.c\",\"metadata\":{\"k\":\"v\"}}\n\nnot json\n{\"tenant\":1}\n{\"tenant\":\"x\",\"mail\":\"y\"}\n{\"tenant\":\"y\",\"currency\":\"EURO\"}\n";
        let told = told(rows("t.jsonl", text).unwrap());
        assert_eq!(told[0], "1: ok");
        assert!(told[1].starts_with("3: not a JSON object"), "{}", told[1]);
        assert_eq!(told[2], "4: tenant must be a text");
        assert!(
            told[3].starts_with("5: the field \"mail\" is not known; use tenant"),
            "{}",
            told[3]
        );
        assert!(told[4].starts_with("6: \"EURO\" is not a currency"), "{}", told[4]);
    }

    #[test]
    fn a_file_of_another_kind_or_with_another_header_is_refused() {
        assert!(rows("t.txt", "x").unwrap_err().message.contains(".csv or .jsonl"));
        for (text, part) in [
            ("tenant,colour\na,b\n", "\"colour\" is not known; use tenant"),
            ("", "it is empty; its first line must name the columns"),
            ("\n\n", "it is empty; its first line must name the columns"),
            ("tenant,name,tenant\na,b,c\n", "\"tenant\" is there twice"),
            ("name\nb\n", "there is no column tenant"),
            ("tenant,metadata.\na,b\n", "\"metadata.\" is not known"),
        ] {
            let message = rows("t.csv", text).unwrap_err().message;
            assert!(message.contains(part), "{text:?}: {message}");
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_takes_no_other_row_with_it_unseen() {
        let told = told(rows("t.csv", "tenant,name\nacme,\"Acme\nglobex,Globex\n").unwrap());
        assert_eq!(
            told,
            ["2: a cell goes on in the next line; close its quote, or write the text in one line"]
        );
    }

    #[test]
    fn a_dry_run_finds_what_the_api_would_refuse() {
        let long = "x".repeat(256);
        let many = (0..51).map(|n| format!("\"k{n}\":\"v\"")).collect::<Vec<_>>().join(",");
        for (row, part) in [
            (
                format!("{{\"tenant\":\"a\",\"name\":\"{long}\"}}"),
                "name must be at most 255 characters",
            ),
            (
                "{\"tenant\":\"a\",\"email\":\"a@b.c\\r\\nBcc: x@y\"}".to_owned(),
                "email must be at most 255",
            ),
            (
                "{\"tenant\":\"a\",\"name\":\"\\u001b[31m\"}".to_owned(),
                "without control characters",
            ),
            (
                "{\"tenant\":\"a\",\"metadata\":{\"k\":7}}".to_owned(),
                "metadata \"k\" must be a text",
            ),
            (
                "{\"tenant\":\"a\",\"metadata\":[]}".to_owned(),
                "metadata must be a JSON object",
            ),
            (
                format!("{{\"tenant\":\"a\",\"metadata\":{{{many}}}}}"),
                "more than 50 entries",
            ),
        ] {
            let told = told(rows("t.jsonl", &row).unwrap());
            assert!(told[0].contains(part), "{row}: {told:?}");
        }
    }
}
