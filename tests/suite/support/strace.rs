//! The real binary under strace: what it wrote and synced, in order, and system calls that fail on demand.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longest wait until strace has written the end of its trace after the process ended.
const END_WAIT: Duration = Duration::from_secs(20);

/// Longest argument kept, in bytes: more than one write of ours.
const ARGUMENT_MAX: &str = "131072";

/// "HTTP/1.1 200", as strace writes it.
const ACCEPTED: &str = r"\x48\x54\x54\x50\x2f\x31\x2e\x31\x20\x32\x30\x30";

/// Can processes be traced here?
pub(crate) fn available() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let traced = Command::new("strace")
            .args(["-f", "--seccomp-bpf", "-e", "trace=fsync", "-o", "/dev/null", "true"])
            .output();
        traced.is_ok_and(|output| output.status.success())
    })
}

/// The same, and says aloud what cannot be tested without it.
pub(crate) fn available_for(what: &str) -> bool {
    if !available() {
        super::skipped(&format!(
            "{what}: strace is missing or may not trace (tests/run installs it)"
        ));
    }
    available()
}

/// A trace on disk, and the program that writes it. The traced process is the started one itself: it can be killed,
/// stopped and waited for as if nobody looked on.
pub(crate) struct Trace {
    file: PathBuf,
}

impl Trace {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Records writes, syncs and answers of everything.
    pub(crate) fn recorder(&self) -> Vec<String> {
        self.program(&[
            "-yy",
            "-xx",
            "-s",
            ARGUMENT_MAX,
            "-e",
            "trace=pwrite64,ftruncate,fdatasync,fsync,unlink,rename,writev,sendto,sendmsg",
        ])
    }

    /// The same, and makes calls fail, `how` as strace's `inject=` has it.
    pub(crate) fn recorder_with(&self, how: &str) -> Vec<String> {
        let mut program = self.recorder();
        program.extend(["-e".to_owned(), format!("inject={how}")]);
        program
    }

    /// Makes system calls on one file fail, `how` as strace's `inject=` has it, and records them, writes and syncs of it.
    pub(crate) fn fault(&self, file: &Path, how: &str) -> Vec<String> {
        let calls = how.split(':').next().expect("calls");
        let calls = format!("trace=pwrite64,fdatasync,fsync,{calls}");
        let (file, how) = (file.display().to_string(), format!("inject={how}"));
        self.program(&["-y", "-s", "0", "-P", &file, "-e", &calls, "-e", &how])
    }

    fn program(&self, options: &[&str]) -> Vec<String> {
        let file = self.file.display().to_string();
        let mut all = vec!["strace", "-D", "-f", "-o", &file];
        // Looks at the calls asked for and at no other, but never delivers a signal that a call is to end with.
        if !options.iter().any(|option| option.contains(":signal=")) {
            all.push("--seccomp-bpf");
        }
        all.extend(options);
        all.into_iter().map(str::to_owned).collect()
    }

    /// Has strace made a call fail by now?
    pub(crate) fn has_injected(&self) -> bool {
        let text = std::fs::read(&self.file).unwrap_or_default();
        String::from_utf8_lossy(&text).contains("(INJECTED)")
    }

    /// The lines of the trace, when the process has ended and strace has seen it.
    pub(crate) fn lines(&self, pid: u32) -> impl Iterator<Item = String> {
        let begin = Instant::now();
        let pid = pid.to_string();
        let ended = |line: &str| {
            line.split_once(' ')
                .is_some_and(|(of, what)| of == pid && what.trim_start().starts_with("+++ "))
        };
        loop {
            let text = tail(&self.file);
            if text.lines().any(ended) {
                break;
            }
            assert!(
                begin.elapsed() < END_WAIT,
                "strace did not see the end of {pid}: {text}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        let file = std::fs::File::open(&self.file).expect("a trace");
        BufReader::new(file).lines().map(|line| line.expect("a line"))
    }
}

fn tail(file: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let Ok(mut file) = std::fs::File::open(file) else {
        return String::new();
    };
    let length = file.metadata().expect("a trace").len();
    file.seek(SeekFrom::Start(length.saturating_sub(4_096)))
        .expect("a trace");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("a trace");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the process did that a disk or a client could see.
#[derive(Debug)]
pub(crate) enum Step {
    /// Bytes were handed to the system.
    Write { file: PathBuf, offset: u64, bytes: Vec<u8> },
    /// The file was cut or lengthened.
    Truncate { file: PathBuf, length: u64 },
    /// A sync was asked for; what was written before is what it covers.
    SyncBegun { file: PathBuf },
    /// It came back.
    SyncEnded { file: PathBuf, succeeded: bool },
    /// The name was taken away.
    Removed { file: PathBuf },
    /// An answer 200 left for this port.
    Accepted { port: u16 },
}

/// Reads the lines of a recorder's trace as steps.
pub(crate) fn steps(lines: impl Iterator<Item = String>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut unfinished: HashMap<String, String> = HashMap::new();
    for line in lines {
        let (thread, call) = line.split_once(' ').expect("a thread before every line");
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            entered(begun, &mut steps);
            unfinished.insert(thread.to_owned(), begun.to_owned());
        } else if call.starts_with("<... ") {
            let begun = unfinished.remove(thread).expect("the beginning of a resumed call");
            left(&begun, result_of(call), &mut steps);
        } else if call.starts_with(|first: char| first.is_ascii_lowercase()) {
            entered(call, &mut steps);
            left(call, result_of(call), &mut steps);
        }
    }
    steps
}

/// The number a call returned; nothing when the process ended inside it.
fn result_of(call: &str) -> Option<i64> {
    let (_, result) = call.rsplit_once(" = ")?;
    result.split_whitespace().next()?.parse().ok()
}

/// What may have an effect from the moment a call begins.
fn entered(call: &str, steps: &mut Vec<Step>) {
    let name = call.split('(').next().unwrap_or_default();
    match name {
        "pwrite64" => {
            let text = between(call, '"', '"').expect("the bytes of a write");
            let rest = call.rsplit_once('"').expect("the end of the bytes").1;
            assert!(!rest.starts_with("..."), "a write longer than {ARGUMENT_MAX} bytes");
            let mut numbers = rest
                .split([',', ')'])
                .filter_map(|part| part.trim().parse::<u64>().ok());
            let (length, offset) = (numbers.next().expect("a length"), numbers.next().expect("an offset"));
            let bytes = unescaped(text);
            assert_eq!(bytes.len() as u64, length, "{}", &call[..60]);
            steps.push(Step::Write {
                file: file_of(call),
                offset,
                bytes,
            });
        }
        "ftruncate" => {
            let length = call.split([',', ')']).nth(1).and_then(|part| part.trim().parse().ok());
            steps.push(Step::Truncate {
                file: file_of(call),
                length: length.expect("a length"),
            });
        }
        "fdatasync" | "fsync" => steps.push(Step::SyncBegun { file: file_of(call) }),
        "unlink" => {
            let text = between(call, '"', '"').expect("a path");
            let file = String::from_utf8(unescaped(text)).expect("a path in UTF-8");
            steps.push(Step::Removed { file: file.into() });
        }
        "rename" => {
            let text = String::from_utf8(unescaped(call)).expect("paths in UTF-8");
            assert!(
                !text.contains("ledger.db"),
                "the model of the disk knows no such rename: {text}"
            );
        }
        _ => {}
    }
}

/// What has happened when a call comes back.
fn left(call: &str, result: Option<i64>, steps: &mut Vec<Step>) {
    let name = call.split('(').next().unwrap_or_default();
    match name {
        "fdatasync" | "fsync" => steps.push(Step::SyncEnded {
            file: file_of(call),
            succeeded: result == Some(0),
        }),
        "writev" | "sendto" | "sendmsg" if result.is_some_and(|n| n > 0) && call.contains(ACCEPTED) => {
            let peer = between(call, '<', ',').and_then(|socket| socket.rsplit_once("->"));
            let port = peer.and_then(|(_, peer)| peer.split(':').nth(1)?.split(']').next()?.parse().ok());
            steps.extend(port.map(|port| Step::Accepted { port }));
        }
        _ => {}
    }
}

/// The path strace wrote behind the descriptor, `5</data/ledger.db>`.
fn file_of(call: &str) -> PathBuf {
    let start = call.find('<').expect("a path behind the descriptor") + 1;
    let length = call[start..].find('>').expect("the end of a path");
    let bytes = unescaped(&call[start..start + length]);
    String::from_utf8(bytes).expect("a path in UTF-8").into()
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    let start = text.find(open)? + open.len_utf8();
    let length = text[start..].find(close)?;
    Some(&text[start..start + length])
}

/// `\x61\x62` as bytes; anything else stands for itself.
fn unescaped(text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        other => panic!("{other} is no hex digit"),
    };
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'\\' {
            bytes.push(digit(text[at + 2]) * 16 + digit(text[at + 3]));
            at += 4;
        } else {
            bytes.push(text[at]);
            at += 1;
        }
    }
    bytes
}

#[test]
fn a_trace_is_read_as_steps() {
    let lines = [
        r#"7 pwrite64(5<\x2f\x61>, "\x61\x00", 2, 10 <unfinished ...>"#,
        r#"8 sendto(4<TCP:[127.0.0.1:1->127.0.0.1:59478]>, "\x48\x54\x54\x50\x2f\x31\x2e\x31\x20\x32\x30\x30\x20"..., 13, 0, NULL, 0) = 13"#,
        r"7 <... pwrite64 resumed>) = 2",
        r"7 fdatasync(5<\x2f\x61>) = -1 EIO (Input/output error) (INJECTED)",
        r"7 +++ exited with 0 +++",
    ];
    let text = format!("{:?}", steps(lines.into_iter().map(str::to_owned)));
    assert_eq!(
        text,
        "[Write { file: \"/a\", offset: 10, bytes: [97, 0] }, Accepted { port: 59478 }, SyncBegun { file: \"/a\" }, \
         SyncEnded { file: \"/a\", succeeded: false }]"
    );
}
