//! Where rows go: cells for bulk statements, bytes for COPY, a digest for comparison.

use aggregates::time::Timestamp;

/// Microseconds from the Unix epoch to 2000-01-01, the epoch of Postgres.
pub(crate) const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
/// What the binary form of COPY begins with: its signature, no flags, no extension.
pub(crate) const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Takes the columns of a row in the table's order, after `part`.
pub trait RowSink {
    /// The next column, of text.
    fn text(&mut self, value: Option<&str>);
    /// The next column, of whole numbers.
    fn int(&mut self, value: Option<i64>);
    /// The next column, of instants.
    fn time(&mut self, value: Option<Timestamp>);

    /// The next column, a count or place (beyond 2^63 it is cut: no count of ours comes near).
    fn count(&mut self, value: u64) {
        self.int(Some(i64::try_from(value).unwrap_or(i64::MAX)));
    }
}

/// One value of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Text.
    Text(Option<String>),
    /// A whole number.
    Int(Option<i64>),
    /// Microseconds since the Unix epoch.
    Time(Option<i64>),
}

/// Rows one after another, `width` cells each, with the part of each row beside them.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    /// Part of each row.
    pub parts: Vec<u32>,
    /// All cells, row by row.
    pub cells: Vec<Cell>,
}

impl Cells {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.parts.len()
    }

    /// About how many bytes a statement with these rows carries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of = |cell: &Cell| match cell {
            Cell::Text(text) => text.as_ref().map_or(1, |t| t.len() + 4),
            Cell::Int(_) | Cell::Time(_) => 8,
        };
        self.cells.iter().map(of).sum()
    }
}

impl RowSink for Cells {
    fn text(&mut self, value: Option<&str>) {
        self.cells.push(Cell::Text(value.map(str::to_owned)));
    }
    fn int(&mut self, value: Option<i64>) {
        self.cells.push(Cell::Int(value));
    }
    fn time(&mut self, value: Option<Timestamp>) {
        self.cells.push(Cell::Time(value.map(Timestamp::micros)));
    }
}

/// Rows in the binary form of Postgres' COPY (postgresql.org/docs/current/sql-copy.html, "Binary Format").
#[derive(Debug)]
pub struct CopyBytes {
    /// What to send.
    pub bytes: Vec<u8>,
}

impl Default for CopyBytes {
    fn default() -> Self {
        let mut bytes = Vec::with_capacity(64 * 1024);
        bytes.extend_from_slice(COPY_HEADER);
        Self { bytes }
    }
}

impl CopyBytes {
    /// Begins a row of `width` columns after `part`.
    pub fn row(&mut self, part: u32, width: usize) {
        let fields = i16::try_from(width + 1).unwrap_or(i16::MAX);
        self.bytes.extend_from_slice(&fields.to_be_bytes());
        self.bytes.extend_from_slice(&4_i32.to_be_bytes());
        self.bytes.extend_from_slice(&part.to_be_bytes());
    }

    /// Ends the stream.
    pub fn finish(&mut self) {
        self.bytes.extend_from_slice(&(-1_i16).to_be_bytes());
    }

    fn null(&mut self) {
        self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
    }
}

impl RowSink for CopyBytes {
    fn text(&mut self, value: Option<&str>) {
        let Some(text) = value else { return self.null() };
        let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }
    fn int(&mut self, value: Option<i64>) {
        let Some(value) = value else { return self.null() };
        self.bytes.extend_from_slice(&8_i32.to_be_bytes());
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }
    fn time(&mut self, value: Option<Timestamp>) {
        self.int(value.map(|at| at.micros() - POSTGRES_EPOCH_MICROS));
    }
}

/// Digest of rows, the same on both stores: each value with its kind and length.
pub struct Digest(ring::digest::Context);

impl Default for Digest {
    fn default() -> Self {
        Self(ring::digest::Context::new(&ring::digest::SHA256))
    }
}

impl Digest {
    /// The 32 bytes.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let digest = self.0.finish();
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        bytes
    }

    fn put(&mut self, kind: u8, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.update(&[kind]);
        self.0.update(&length.to_be_bytes());
        self.0.update(bytes);
    }
}

impl RowSink for Digest {
    fn text(&mut self, value: Option<&str>) {
        match value {
            Some(text) => self.put(b't', text.as_bytes()),
            None => self.put(b'n', &[]),
        }
    }
    fn int(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.put(b'i', &value.to_be_bytes()),
            None => self.put(b'n', &[]),
        }
    }
    fn time(&mut self, value: Option<Timestamp>) {
        self.int(value.map(Timestamp::micros));
    }
}
