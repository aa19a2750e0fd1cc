//! Splits a stream of bytes into messages: both methods of RFC 6587 section 3.4, detected for each
//! frame.
//!
//! - A frame that begins with a number and a space has that many bytes (octet counting, 3.4.1; RFC
//!   5425 section 4.3).
//! - Any other frame ends at a line feed (3.4.2). This includes frames that begin with a number
//!   that is no length: a year, a zero, more digits than any length has.
//! - A frame that is too long is returned with its first bytes; the other bytes are skipped and
//!   counted.
//! - The frames do not depend on how the stream is cut into pieces.

/// A number with more digits begins a line and is no length: nobody sends ten megabytes as one
/// message, and a false length would skip as many bytes.
const LENGTH_DIGITS_MAX: usize = 7;

/// Contents of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub bytes: Vec<u8>,
    /// Why the bytes are no whole message.
    pub flaw: Option<Flaw>,
}

/// Why a frame holds no whole message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It had this many bytes, more than the limit.
    TooLong(usize),
    /// The stream ended within it.
    CutOff,
}

/// Finds frames in one stream.
pub struct Framing {
    bytes_max: usize,
    /// Bytes of the unfinished frame, at most `bytes_max`, or the digits of its length.
    buffer: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// `buffer` may hold the beginning of a length.
    Start,
    /// `left` of `len_bytes` bytes are still missing.
    Counted { left: usize, len_bytes: usize },
    /// Ends at a line feed; has `len_bytes` bytes so far.
    Line { len_bytes: usize },
}

impl Framing {
    /// For messages of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Framing {
        Framing { bytes_max, buffer: Vec::new(), state: State::Start }
    }

    /// Takes the next piece of the stream and returns the frames that end in it. Empty frames are
    /// skipped.
    pub fn take(&mut self, mut piece: &[u8], give: &mut dyn FnMut(Frame)) {
        while !piece.is_empty() {
            match self.state {
                State::Start => piece = self.begin(piece),
                State::Counted { left, len_bytes } => {
                    let (now, rest) = piece.split_at(left.min(piece.len()));
                    self.store(now);
                    piece = rest;
                    match left - now.len() {
                        0 => self.end(len_bytes, give),
                        left => self.state = State::Counted { left, len_bytes },
                    }
                }
                State::Line { len_bytes } => match piece.iter().position(|&byte| byte == b'\n') {
                    Some(at) => {
                        self.store(&piece[..at]);
                        piece = &piece[at + 1..];
                        self.end_line(len_bytes + at, give);
                    }
                    None => {
                        self.store(piece);
                        self.state = State::Line { len_bytes: len_bytes + piece.len() };
                        return;
                    }
                },
            }
        }
    }

    /// Takes the end of the stream and returns the last frame. A last line without a line feed is
    /// whole if the sender closed the stream in order, and cut off if the connection broke.
    pub fn finish(mut self, is_orderly: bool, give: &mut dyn FnMut(Frame)) {
        match self.state {
            State::Start | State::Counted { .. } if self.buffer.is_empty() => {}
            State::Line { len_bytes } if is_orderly || len_bytes > self.bytes_max => {
                self.end_line(len_bytes, give)
            }
            State::Start | State::Line { .. } | State::Counted { .. } => {
                give(Frame { bytes: self.buffer, flaw: Some(Flaw::CutOff) });
            }
        }
    }

    /// Looks for a length at the beginning of a frame; returns the rest of the piece.
    fn begin<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        for (at, &byte) in piece.iter().enumerate() {
            let has_room = self.buffer.len() < LENGTH_DIGITS_MAX;
            match byte {
                b'1'..=b'9' if has_room => self.buffer.push(byte),
                b'0' if has_room && !self.buffer.is_empty() => self.buffer.push(byte),
                b' ' if !self.buffer.is_empty() => {
                    let digits = self.buffer.drain(..);
                    let len_bytes =
                        digits.fold(0, |len, digit| len * 10 + usize::from(digit - b'0'));
                    self.state = State::Counted { left: len_bytes, len_bytes };
                    return &piece[at + 1..];
                }
                _ => {
                    self.state = State::Line { len_bytes: self.buffer.len() };
                    return &piece[at..];
                }
            }
        }
        &[]
    }

    fn store(&mut self, bytes: &[u8]) {
        let room = self.bytes_max.saturating_sub(self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    /// Ends a line. A carriage return before the line feed is not part of the message.
    fn end_line(&mut self, mut len_bytes: usize, give: &mut dyn FnMut(Frame)) {
        if len_bytes == self.buffer.len() && self.buffer.last() == Some(&b'\r') {
            self.buffer.pop();
            len_bytes -= 1;
        }
        self.end(len_bytes, give);
    }

    fn end(&mut self, len_bytes: usize, give: &mut dyn FnMut(Frame)) {
        self.state = State::Start;
        let bytes = std::mem::take(&mut self.buffer);
        if len_bytes > 0 {
            give(Frame {
                flaw: (len_bytes > bytes.len()).then_some(Flaw::TooLong(len_bytes)),
                bytes,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 24;

    /// Frames of pieces as text, each after its flaw.
    fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, is_orderly: bool) -> Vec<String> {
        let mut found = Vec::new();
        let mut give = |frame: Frame| {
            let flaw = match frame.flaw {
                None => String::new(),
                Some(Flaw::TooLong(len)) => format!("{len}: "),
                Some(Flaw::CutOff) => "cut off: ".to_owned(),
            };
            found.push(flaw + &String::from_utf8_lossy(&frame.bytes));
        };
        let mut framing = Framing::new(MAX);
        for piece in pieces {
            framing.take(piece, &mut give);
        }
        framing.finish(is_orderly, &mut give);
        found
    }

    #[test]
    fn both_framings_are_read_from_one_stream() {
        for (stream, expected) in [
            (&b"5 <1>ab<2>cd\n<3>e\r\n4 <4>\n"[..], &["<1>ab", "<2>cd", "<3>e", "<4>\n"][..]),
            (b"\n\r\n5 a\nb\nc", &["a\nb\nc"]),
            // A year, a zero and eight digits are no lengths.
            (b"2026-11-20 x\n07 a\n12345678 a\n", &["2026-11-20 x", "07 a", "12345678 a"]),
            (b"1 \r\n", &["\r"]),
            (b"", &[]),
        ] {
            assert_eq!(frames([stream], true), expected, "{}", String::from_utf8_lossy(stream));
        }
    }

    #[test]
    fn a_long_frame_is_cut_and_skipped_to_the_next() {
        let long = "x".repeat(MAX + 5);
        let stored = "x".repeat(MAX);
        let counted = format!("29 {long}3 abc");
        assert_eq!(frames([counted.as_bytes()], true), [format!("29: {stored}"), "abc".to_owned()]);
        let lines = format!("{long}\n{stored}\nabc\n");
        assert_eq!(
            frames([lines.as_bytes()], true),
            [format!("29: {stored}"), stored.clone(), "abc".to_owned()]
        );
        assert_eq!(frames([long.as_bytes()], false), [format!("29: {stored}")]);
    }

    #[test]
    fn nothing_is_dropped_at_the_end() {
        for (stream, orderly, broken_off) in [
            (&b"10 abc"[..], "cut off: abc", "cut off: abc"),
            (b"<1>abc", "<1>abc", "cut off: <1>abc"),
            (b"12", "cut off: 12", "cut off: 12"),
        ] {
            assert_eq!(frames([stream], true), [orderly]);
            assert_eq!(frames([stream], false), [broken_off]);
        }
        assert!(frames([&b"12 "[..]], false).is_empty(), "no bytes are left");
    }

    /// SplitMix64.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((z ^ (z >> 31)) % end as u64).expect("below a usize")
        }
    }

    #[test]
    fn pieces_do_not_matter() {
        for seed in 0..5000 {
            let mut random = Random(seed);
            // Only bytes with a meaning to framing, so that every stream is near a limit.
            let stream: Vec<u8> =
                (0..random.below(120)).map(|_| b"12590 \n\r<ax"[random.below(11)]).collect();
            let is_orderly = random.below(2) == 0;
            let whole = frames([&stream[..]], is_orderly);
            let (mut pieces, mut rest) = (Vec::new(), &stream[..]);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + random.below(rest.len().min(9)));
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(frames(pieces, is_orderly), whole, "seed {seed}: {stream:?}");
        }
    }

    /// Messages sent in either framing arrive unchanged.
    #[test]
    fn sent_messages_arrive_unchanged() {
        for seed in 0..5000 {
            let mut random = Random(seed);
            let (mut stream, mut sent) = (Vec::new(), Vec::new());
            for _ in 0..random.below(8) {
                let is_counted = random.below(2) == 0;
                let alphabet: &[u8] = if is_counted { b"12 <a>\n" } else { b"12 <a>" };
                let text: Vec<u8> = (0..random.below(MAX - 3))
                    .map(|_| alphabet[random.below(alphabet.len())])
                    .collect();
                let message = [b"<3>", &text[..]].concat();
                if is_counted {
                    stream.extend_from_slice(format!("{} ", message.len()).as_bytes());
                    stream.extend_from_slice(&message);
                } else {
                    stream.extend_from_slice(&message);
                    stream.push(b'\n');
                }
                sent.push(String::from_utf8_lossy(&message).into_owned());
            }
            assert_eq!(frames([&stream[..]], false), sent, "seed {seed}");
        }
    }
}
