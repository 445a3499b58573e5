//! Where a caller's bytes stand: the first ones tell HTTP/1 from HTTP/2, and of HTTP/2 the headers of frames tell
//! whether one is on its way. Nothing of their content is read.

/// How every HTTP/2 connection begins.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes before the content of a frame: length, type, flags, stream.
const HEADER_BYTES: usize = 9;
/// Types of frames, and the flag that ends a block of header fields.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// What is known of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub enum Wire {
    /// So many bytes came, and all could begin HTTP/2.
    Unknown(usize),
    /// HTTP/1.
    Lines,
    /// HTTP/2.
    Frames(Frames),
}

impl Default for Wire {
    fn default() -> Self {
        Self::Unknown(0)
    }
}

/// Where the frames of HTTP/2 stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Frames {
    header: [u8; HEADER_BYTES],
    /// Bytes of the next frame's header that came.
    have: usize,
    /// Bytes of the present frame's content that are to come.
    left: usize,
    /// The present frame carries a body.
    is_data: bool,
    /// A block of header fields goes on in the next frame.
    in_block: bool,
    /// Frames that ended, a block of several counted once.
    ended: u64,
}

impl Wire {
    /// Takes bytes as they come.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Self::Unknown(matched) = *self {
            let Some((first, rest)) = bytes.split_first() else {
                return;
            };
            if PREFACE.get(matched) != Some(first) {
                *self = Self::Lines;
                return;
            }
            bytes = rest;
            *self = if matched + 1 == PREFACE.len() {
                Self::Frames(Frames::default())
            } else {
                Self::Unknown(matched + 1)
            };
        }
        if let Self::Frames(frames) = self {
            frames.feed(bytes);
        }
    }
}

impl Frames {
    /// Whether a frame that carries no body, or a block of header fields, began and did not end.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        self.have > 0 || self.in_block || (self.left > 0 && !self.is_data)
    }

    /// Frames that ended so far: tells one that is long on its way from the next.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.ended
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = bytes.get(taken..).unwrap_or_default();
                self.count();
                continue;
            }
            let taken = (HEADER_BYTES - self.have).min(bytes.len());
            let (header, rest) = bytes.split_at(taken);
            self.header[self.have..self.have + taken].copy_from_slice(header);
            self.have += taken;
            bytes = rest;
            if self.have == HEADER_BYTES {
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        let [a, b, c, kind, flags, ..] = self.header;
        self.have = 0;
        self.left = (usize::from(a) << 16) | (usize::from(b) << 8) | usize::from(c);
        self.is_data = kind == DATA;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_block = flags & END_HEADERS == 0;
        }
        self.count();
    }

    const fn count(&mut self) {
        if self.left == 0 && !self.in_block {
            self.ended += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], content].concat()
    }

    fn after(bytes: &[u8]) -> Wire {
        let mut wire = Wire::default();
        wire.feed(bytes);
        wire
    }

    fn is_partial(wire: &Wire) -> bool {
        matches!(wire, Wire::Frames(frames) if frames.is_partial())
    }

    #[test]
    fn the_first_bytes_tell_the_protocol_however_they_are_cut() {
        for cut in 0..=PREFACE.len() {
            let mut wire = after(&PREFACE[..cut]);
            assert_eq!(wire == Wire::Unknown(cut), cut < PREFACE.len());
            wire.feed(&PREFACE[cut..]);
            assert_eq!(wire, Wire::Frames(Frames::default()), "{cut}");
            let mut other = after(&PREFACE[..cut.min(23)]);
            other.feed(b"!");
            assert_eq!(other, Wire::Lines, "{cut}");
        }
        assert_eq!(after(b"GET / HTTP/1.1\r\n\r\n"), Wire::Lines);
        assert_eq!(after(b"PUT /x HTTP/1.1\r\n"), Wire::Lines);
    }

    #[test]
    fn a_frame_is_on_its_way_from_its_first_byte_to_its_last() {
        let settings = frame(4, 0, b"sixsix");
        for cut in 0..=settings.len() {
            let wire = after(&[&PREFACE[..], &settings[..cut]].concat());
            assert_eq!(is_partial(&wire), cut > 0 && cut < settings.len(), "{cut}");
        }
        let ping = frame(6, 0, b"8 bytes.");
        assert!(!is_partial(&after(&[&PREFACE[..], &settings, &ping, &ping].concat())));
        let two_and_a_half = [&PREFACE[..], &settings, &frame(4, 1, b""), &ping[..5]].concat();
        assert!(matches!(after(&two_and_a_half), Wire::Frames(frames) if frames.ended() == 2));
    }

    #[test]
    fn a_block_of_fields_is_on_its_way_until_the_frame_that_ends_it() {
        let open = frame(HEADERS, 0, b"abc");
        let more = frame(CONTINUATION, 0, b"de");
        let last = frame(CONTINUATION, END_HEADERS, b"");
        assert!(is_partial(&after(&[&PREFACE[..], &open].concat())));
        assert!(is_partial(&after(&[&PREFACE[..], &open, &more].concat())));
        let whole = after(&[&PREFACE[..], &open, &more, &last].concat());
        assert!(!is_partial(&whole));
        assert!(matches!(whole, Wire::Frames(frames) if frames.ended() == 1));
        assert!(!is_partial(&after(
            &[&PREFACE[..], &frame(HEADERS, END_HEADERS, b"abc")].concat()
        )));
    }

    #[test]
    fn a_body_on_its_way_is_no_head() {
        let body = frame(DATA, 0, b"0123456789");
        let wire = after(&[&PREFACE[..], &body[..HEADER_BYTES + 4]].concat());
        assert!(!is_partial(&wire));
        assert!(is_partial(&after(&[&PREFACE[..], &body[..HEADER_BYTES - 1]].concat())));
    }
}
