//! Tenants from a file: CSV with a header line, or one JSON object a line. Read as a stream, bounded, every mistake
//! told with its line; importing a file again changes nothing.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use aggregates::ids::{CustomerId, TenantId};
use aggregates::money::Currency;
use serde::{Deserialize, Serialize};

use super::accounts::{AccountError, Accounts, Caller, TenantAccount};

/// Largest file, in bytes: 64 MiB is about half a million tenants.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest line of a JSONL file, in bytes: 50 metadata entries of 500 characters fit.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Row errors listed; more are only counted.
pub const ERRORS_MAX: usize = 1_000;
/// Entries of a tenant's metadata, and characters of each value.
pub const METADATA_ENTRIES_MAX: usize = 50;
/// As above.
pub const METADATA_CHARS_MAX: usize = 500;
/// Characters of a name or an address.
pub const TEXT_CHARS_MAX: usize = 255;

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns `tenant`, `stripe_customer`, `name`, `email`, `currency`, and `metadata.<key>` for the rest.
    Csv,
    /// Objects with the same names; `metadata` is an object of texts.
    Jsonl,
}

impl Format {
    /// By the ending of a file's name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

/// A row that was not imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowError {
    /// Line of the file, from 1.
    pub line: u64,
    /// What to correct.
    pub message: String,
}

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Rows read.
    pub rows: u64,
    /// Accounts opened.
    pub created: u64,
    /// Accounts that were there; their words were brought up to date.
    pub present: u64,
    /// Rows that were not imported.
    pub failed: u64,
    /// The first [`ERRORS_MAX`] of them.
    pub errors: Vec<RowError>,
    /// Why reading ended before the end of the file.
    pub stopped: Option<String>,
}

impl ImportReport {
    fn refuse(&mut self, error: RowError) {
        self.failed += 1;
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error);
        }
    }
}

/// A row as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    tenant: String,
    #[serde(default)]
    stripe_customer: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    currency: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// Reads the rows of a file one after the other; each is a tenant or an error with its line. After an error about the
/// file itself (too large, not readable) nothing more comes.
pub fn rows<'a>(
    file: impl Read + 'a,
    format: Format,
) -> Box<dyn Iterator<Item = Result<(u64, TenantAccount), RowError>> + 'a> {
    let bounded = Bounded {
        inner: file,
        left: FILE_BYTES_MAX,
    };
    let parsed: Box<dyn Iterator<Item = Result<(u64, Row), RowError>> + 'a> = match format {
        Format::Csv => Box::new(csv_rows(bounded)),
        Format::Jsonl => Box::new(json_rows(BufReader::new(bounded))),
    };
    Box::new(parsed.map(|row| {
        let (line, row) = row?;
        account(row)
            .map(|account| (line, account))
            .map_err(|message| RowError { line, message })
    }))
}

/// Imports the rows; `caller` makes the key of each row.
pub async fn import(
    accounts: &Accounts,
    rows: impl Iterator<Item = Result<(u64, TenantAccount), RowError>>,
    caller: impl Fn(&TenantId) -> Caller,
) -> ImportReport {
    let mut report = ImportReport::default();
    for row in rows {
        report.rows += 1;
        let (line, wanted) = match row {
            Ok(row) => row,
            Err(error) => {
                report.refuse(error);
                continue;
            }
        };
        match accounts.open(&caller(&wanted.tenant), &wanted).await {
            Ok(standing) if standing.created => report.created += 1,
            Ok(_) => report.present += 1,
            Err(error @ AccountError::Store(_)) => {
                report.stopped = Some(format!(
                    "line {line}: {error}; import the file again, rows already in are kept"
                ));
                return report;
            }
            Err(error) => report.refuse(RowError {
                line,
                message: error.to_string(),
            }),
        }
    }
    report
}

fn account(row: Row) -> Result<TenantAccount, String> {
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let short = |name: &str, text: Option<String>| match given(text) {
        Some(text) if text.chars().count() > TEXT_CHARS_MAX || text.chars().any(char::is_control) => Err(format!(
            "{name} must be at most {TEXT_CHARS_MAX} characters without control characters"
        )),
        text => Ok(text),
    };
    let customer = given(row.stripe_customer).map(|id| CustomerId::parse(id.trim()));
    let currency = given(row.currency).map(|code| Currency::parse(&code.trim().to_ascii_lowercase()));
    if row.metadata.len() > METADATA_ENTRIES_MAX {
        return Err(format!("metadata has more than {METADATA_ENTRIES_MAX} entries"));
    }
    if let Some((key, _)) = row
        .metadata
        .iter()
        .find(|(_, value)| value.chars().count() > METADATA_CHARS_MAX)
    {
        return Err(format!(
            "metadata {key:?} is longer than {METADATA_CHARS_MAX} characters"
        ));
    }
    Ok(TenantAccount {
        tenant: TenantId::parse(row.tenant.trim()).map_err(|error| error.to_string())?,
        stripe_customer: customer.transpose().map_err(|error| error.to_string())?,
        name: short("name", row.name)?,
        email: short("email", row.email)?,
        currency: currency.transpose().map_err(|error| error.to_string())?,
        metadata: row.metadata,
    })
}

fn json_rows(mut file: impl BufRead) -> impl Iterator<Item = Result<(u64, Row), RowError>> {
    let mut line = 0;
    let mut ended = false;
    std::iter::from_fn(move || {
        while !ended {
            line += 1;
            let mut text = Vec::new();
            let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX) + 1;
            let read = Read::take(&mut file, limit).read_until(b'\n', &mut text);
            match read {
                Ok(0) => return None,
                Ok(_) if text.len() > LINE_BYTES_MAX => {
                    ended = true;
                    let message = format!("the line is longer than {LINE_BYTES_MAX} bytes; reading stops here");
                    return Some(Err(RowError { line, message }));
                }
                Ok(_) if text.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => {
                    let row = serde_json::from_slice(&text).map_err(|error| RowError {
                        line,
                        message: error.to_string(),
                    });
                    return Some(row.map(|row| (line, row)));
                }
                Err(error) => {
                    ended = true;
                    return Some(Err(unreadable(line, &error.to_string())));
                }
            }
        }
        None
    })
}

fn csv_rows(file: impl Read) -> impl Iterator<Item = Result<(u64, Row), RowError>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let headers = reader
        .headers()
        .cloned()
        .map_err(|error| unreadable(1, &error.to_string()));
    let headers = headers.and_then(|headers| {
        let unknown = headers.iter().find(|name| !is_column(name));
        match unknown {
            Some(name) => Err(unreadable(1, &format!(
                "the column {name:?} is not known; use tenant, stripe_customer, name, email, currency, metadata.<key>"
            ))),
            None if !headers.iter().any(|name| name == "tenant") => {
                Err(unreadable(1, "there is no column tenant; the first line must name the columns"))
            }
            None => Ok(headers),
        }
    });
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let headers = match &headers {
            Ok(headers) => headers,
            Err(error) => {
                ended = true;
                return Some(Err(error.clone()));
            }
        };
        let mut record = csv::StringRecord::new();
        let read = reader.read_record(&mut record);
        let line = record
            .position()
            .map_or_else(|| reader.position().line(), csv::Position::line);
        match read {
            Ok(false) => None,
            Ok(true) => Some(Ok((line, csv_row(headers, &record)))),
            Err(error) => {
                ended = error.is_io_error();
                Some(Err(unreadable(line, &error.to_string())))
            }
        }
    })
}

fn is_column(name: &str) -> bool {
    matches!(name, "tenant" | "stripe_customer" | "name" | "email" | "currency")
        || name.strip_prefix("metadata.").is_some_and(|key| !key.is_empty())
}

fn csv_row(headers: &csv::StringRecord, record: &csv::StringRecord) -> Row {
    let mut row = Row::default();
    for (name, value) in headers.iter().zip(record) {
        let value = value.to_owned();
        match name {
            "tenant" => row.tenant = value,
            "stripe_customer" => row.stripe_customer = Some(value),
            "name" => row.name = Some(value),
            "email" => row.email = Some(value),
            "currency" => row.currency = Some(value),
            other => {
                if let Some(key) = other.strip_prefix("metadata.").filter(|_| !value.is_empty()) {
                    row.metadata.insert(key.to_owned(), value);
                }
            }
        }
    }
    row
}

fn unreadable(line: u64, why: &str) -> RowError {
    RowError {
        line,
        message: why.to_owned(),
    }
}

/// Fails, instead of ending, once more than the allowed bytes came.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let Some(left) = self.left.checked_sub(u64::try_from(count).unwrap_or(u64::MAX)) else {
            return Err(std::io::Error::other("the file is larger than 64 MiB; split it"));
        };
        self.left = left;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, format: Format) -> Vec<Result<(u64, TenantAccount), RowError>> {
        rows(text.as_bytes(), format).collect()
    }

    #[test]
    fn both_forms_say_the_same() {
        let csv = lines(
            "tenant,stripe_customer,name,metadata.region\nacme,cus_1,\"Acme, Inc.\",eu\n\nb,,,\n",
            Format::Csv,
        );
        let json = lines(
            "{\"tenant\":\"acme\",\"stripe_customer\":\"cus_1\",\"name\":\"Acme, Inc.\",\"metadata\":{\"region\":\"eu\"}}\n\
             \n{\"tenant\":\"b\"}\n",
            Format::Jsonl,
        );
        let accounts = |rows: Vec<Result<(u64, TenantAccount), RowError>>| -> Vec<_> {
            rows.into_iter().map(|row| row.unwrap().1).collect()
        };
        let (csv, json) = (accounts(csv), accounts(json));
        assert_eq!(csv, json);
        assert_eq!(
            (csv[0].name.as_deref(), csv[1].name.as_deref()),
            (Some("Acme, Inc."), None)
        );
    }

    #[test]
    fn each_mistake_names_its_line_and_costs_only_itself() {
        let rows = lines(
            "tenant,currency\na b,usd\nok,eur\nok2,dollars\nx,y,z\nlast,\n",
            Format::Csv,
        );
        let told: Vec<_> = rows
            .iter()
            .map(|row| row.as_ref().map(|(line, _)| *line).map_err(|e| e.line))
            .collect();
        assert_eq!(told, [Err(2), Ok(3), Err(4), Err(5), Ok(6)]);
        let rows = lines(
            "{\"tenant\":\"a\"}\nnonsense\n{\"tenat\":\"b\"}\n{\"tenant\":\"c\"}",
            Format::Jsonl,
        );
        let told: Vec<_> = rows
            .iter()
            .map(|row| row.as_ref().map(|(line, _)| *line).map_err(|e| e.line))
            .collect();
        assert_eq!(told, [Ok(1), Err(2), Err(3), Ok(4)]);
    }

    #[test]
    fn a_file_without_known_columns_is_refused_at_once() {
        for (text, word) in [("name\nx\n", "tenant"), ("tenant,nmae\nx,y\n", "nmae"), ("", "tenant")] {
            let rows = lines(text, Format::Csv);
            assert_eq!(rows.len(), 1, "{text:?}");
            assert!(rows[0].as_ref().unwrap_err().message.contains(word), "{rows:?}");
        }
    }

    #[test]
    fn a_file_beyond_the_bound_ends_with_an_error() {
        for (left, fits) in [(4, false), (5, true)] {
            let mut bounded = Bounded {
                inner: &b"12345"[..],
                left,
            };
            let read = std::io::read_to_string(&mut bounded);
            assert_eq!(read.is_ok(), fits, "{read:?}");
            assert!(read.is_ok() || read.unwrap_err().to_string().contains("64 MiB"));
        }
        let long = format!("{{\"tenant\":\"{}\"}}", "x".repeat(LINE_BYTES_MAX));
        assert!(
            lines(&long, Format::Jsonl)[0]
                .as_ref()
                .unwrap_err()
                .message
                .contains("longer")
        );
    }
}
