//! Strict validation of one JSON value.
//!
//! [`validate`] accepts what RFC 8259 accepts, in UTF-8, nested up to [`MAX_DEPTH`], and nothing else.
//! What it returns is a [`Value`], whose methods trust the bytes.
//!
//! Bytes are looked at twice: for their encoding, and for their structure. Inside strings the second look
//! goes from mark to mark ([`crate::blocks`]), which are found for many bytes at a time.

use std::fmt::Write as _;

use crate::blocks::{BLOCK, marks};
use crate::error::Problem;
use crate::tape::{Record, Tape, Unrecorded};
use crate::value::Value;

/// Arrays and objects may stand in one another this often.
pub const MAX_DEPTH: usize = 256;

/// White space between JSON tokens.
#[must_use]
pub const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The offset of the first byte at or after `at` that is no white space.
#[must_use]
#[inline]
pub fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|&byte| is_space(byte)) {
        at += 1;
    }
    at
}

/// The value in `bytes`, which may have white space around it and nothing else. What stands in it is
/// written on the tape, in place of what was there.
///
/// # Errors
/// The first thing that is wrong, with its offset.
pub fn validate<'a>(bytes: &'a [u8], tape: &'a mut Tape) -> Result<Value<'a>, Problem> {
    tape.clear();
    check_all(bytes, &mut *tape)?;
    Ok(Value::trusted(bytes, tape.nodes()))
}

/// Would [`validate`] accept these bytes?
///
/// # Errors
/// As of [`validate`].
pub(crate) fn check(bytes: &[u8]) -> Result<(), Problem> {
    check_all(bytes, Unrecorded)
}

fn check_all(bytes: &[u8], record: impl Record) -> Result<(), Problem> {
    if !bytes.is_ascii()
        && let Err(error) = std::str::from_utf8(bytes)
    {
        return Err(Problem::InvalidUtf8 {
            at: error.valid_up_to(),
        });
    }
    let end = Scan::run(bytes, skip_space(bytes, 0), record)?;
    let rest = skip_space(bytes, end);
    if rest < bytes.len() {
        return Err(Problem::InvalidJson {
            at: rest,
            expected: "the end of the row",
        });
    }
    Ok(())
}

/// The end of the value that begins at `start`, whatever follows. Does not look at the encoding.
pub(crate) fn validate_first(bytes: &[u8], start: usize) -> Result<usize, Problem> {
    Scan::run(bytes, start, Unrecorded)
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{8}' => json.push_str("\\b"),
            '\t' => json.push_str("\\t"),
            '\n' => json.push_str("\\n"),
            '\u{c}' => json.push_str("\\f"),
            '\r' => json.push_str("\\r"),
            control if control < ' ' => {
                write!(json, "\\u{:04x}", u32::from(control)).expect("memory takes it");
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

/// Blocks whose marks are found at a time.
const WINDOW: usize = 16;

/// The marks of the first blocks of these bytes, as far as there are any.
#[inline(never)] // by themselves its loops become vector instructions
fn find_marks(bytes: &[u8], found: &mut [u64; WINDOW]) {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut found = found.iter_mut();
    for (block, marked) in blocks.iter().zip(found.by_ref()) {
        *marked = marks(block);
    }
    if let Some(marked) = found.next() {
        let mut filled = [b' '; BLOCK];
        filled[..rest.len()].copy_from_slice(rest);
        *marked = marks(&filled);
    }
}

/// What was found wrong is kept in the scan.
struct Wrong;

struct Scan<'a, R> {
    bytes: &'a [u8],
    record: R,
    /// The blocks whose marks are known.
    window: usize,
    marks: [u64; WINDOW],
    problem: Option<Problem>,
}

impl<R: Record> Scan<'_, R> {
    /// The end of the value that begins at `start`.
    fn run(bytes: &[u8], start: usize, record: R) -> Result<usize, Problem> {
        let mut scan = Scan {
            bytes,
            record,
            window: usize::MAX,
            marks: [0; WINDOW],
            problem: None,
        };
        let end = scan.value(start, 0);
        end.map_err(|Wrong| scan.problem.expect("what is wrong was told"))
    }

    fn peek(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    #[cold]
    fn fail<T>(&mut self, at: usize, expected: &'static str) -> Result<T, Wrong> {
        self.problem = Some(Problem::InvalidJson { at, expected });
        Err(Wrong)
    }

    /// The end of the value at `at`; and so do the others.
    #[inline]
    fn value(&mut self, at: usize, depth: usize) -> Result<usize, Wrong> {
        match self.peek(at) {
            Some(b'"') => self.string(at),
            Some(b'{') => self.object(at, depth),
            Some(b'[') => self.array(at, depth),
            Some(b'-' | b'0'..=b'9') => self.number(at),
            Some(b't') => self.word(at, b"true"),
            Some(b'f') => self.word(at, b"false"),
            Some(b'n') => self.word(at, b"null"),
            _ => self.fail(at, "a value"),
        }
    }

    fn word(&mut self, at: usize, word: &[u8]) -> Result<usize, Wrong> {
        if !self.bytes[at..].starts_with(word) {
            return self.fail(at, "`true`, `false` or `null`");
        }
        let end = at + word.len();
        self.record.leaf(at, end, false);
        Ok(end)
    }

    fn object(&mut self, start: usize, depth: usize) -> Result<usize, Wrong> {
        let opened = self.open(start, depth)?;
        let mut at = skip_space(self.bytes, start + 1);
        if self.peek(at) != Some(b'}') {
            loop {
                if self.peek(at) != Some(b'"') {
                    return self.fail(at, "a key in quotes");
                }
                at = skip_space(self.bytes, self.string(at)?);
                if self.peek(at) != Some(b':') {
                    return self.fail(at, "`:`");
                }
                at = skip_space(self.bytes, at + 1);
                at = skip_space(self.bytes, self.value(at, depth + 1)?);
                match self.peek(at) {
                    Some(b',') => at = skip_space(self.bytes, at + 1),
                    Some(b'}') => break,
                    _ => return self.fail(at, "`,` or `}`"),
                }
            }
        }
        self.record.close(opened, at + 1);
        Ok(at + 1)
    }

    fn array(&mut self, start: usize, depth: usize) -> Result<usize, Wrong> {
        let opened = self.open(start, depth)?;
        let mut at = skip_space(self.bytes, start + 1);
        if self.peek(at) != Some(b']') {
            loop {
                at = skip_space(self.bytes, self.value(at, depth + 1)?);
                match self.peek(at) {
                    Some(b',') => at = skip_space(self.bytes, at + 1),
                    Some(b']') => break,
                    _ => return self.fail(at, "`,` or `]`"),
                }
            }
        }
        self.record.close(opened, at + 1);
        Ok(at + 1)
    }

    fn open(&mut self, start: usize, depth: usize) -> Result<usize, Wrong> {
        if depth == MAX_DEPTH {
            self.problem = Some(Problem::TooDeep);
            return Err(Wrong);
        }
        Ok(self.record.open(start))
    }

    #[inline]
    fn string(&mut self, start: usize) -> Result<usize, Wrong> {
        let mut at = start + 1;
        let mut is_escaped = false;
        loop {
            at = self.next_mark(at);
            match self.peek(at) {
                Some(b'"') => {
                    self.record.leaf(start, at + 1, is_escaped);
                    return Ok(at + 1);
                }
                Some(b'\\') => {
                    is_escaped = true;
                    at = self.escape(at)?;
                }
                Some(_) => return self.fail(at, "no bare control character in a string"),
                None => return self.fail(self.bytes.len(), "the end of the string"),
            }
        }
    }

    /// The first mark at or after `at`, or the end of the bytes.
    #[inline]
    fn next_mark(&mut self, at: usize) -> usize {
        let mut block = at / BLOCK;
        let mut marks = self.marks_of(block) & (u64::MAX << (at % BLOCK));
        while marks == 0 {
            block += 1;
            if block > self.bytes.len() / BLOCK {
                return self.bytes.len();
            }
            marks = self.marks_of(block);
        }
        block * BLOCK + marks.trailing_zeros() as usize
    }

    #[inline]
    fn marks_of(&mut self, block: usize) -> u64 {
        if block / WINDOW != self.window {
            self.window = block / WINDOW;
            let rest = self.bytes.get(self.window * (WINDOW * BLOCK)..);
            find_marks(rest.unwrap_or_default(), &mut self.marks);
        }
        self.marks[block % WINDOW]
    }

    #[inline]
    fn escape(&mut self, at: usize) -> Result<usize, Wrong> {
        match self.peek(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => {
                let digits = self.bytes[at + 2..].iter().take(4);
                let good = digits.take_while(|byte| byte.is_ascii_hexdigit()).count();
                if good < 4 {
                    return self.fail(at + 2 + good, "four hexadecimal digits");
                }
                Ok(at + 6)
            }
            _ => self.fail(at + 1, "one of `\"\\/bfnrtu` after a backslash"),
        }
    }

    #[inline]
    fn number(&mut self, start: usize) -> Result<usize, Wrong> {
        let mut at = start + usize::from(self.bytes[start] == b'-');
        match self.peek(at) {
            Some(b'0') => at += 1,
            Some(b'1'..=b'9') => at = self.digits(at),
            _ => return self.fail(at, "a digit"),
        }
        if self.peek(at) == Some(b'.') {
            at = self.some_digits(at + 1)?;
        }
        if matches!(self.peek(at), Some(b'e' | b'E')) {
            at += 1;
            at += usize::from(matches!(self.peek(at), Some(b'+' | b'-')));
            at = self.some_digits(at)?;
        }
        self.record.leaf(start, at, false);
        Ok(at)
    }

    fn some_digits(&mut self, at: usize) -> Result<usize, Wrong> {
        if !matches!(self.peek(at), Some(b'0'..=b'9')) {
            return self.fail(at, "a digit");
        }
        Ok(self.digits(at))
    }

    fn digits(&self, mut at: usize) -> usize {
        while matches!(self.peek(at), Some(b'0'..=b'9')) {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_in_containers() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(check(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(check(&nested(MAX_DEPTH + 1)), Err(Problem::TooDeep));
        assert_eq!(check(&vec![b'['; 10_000]), Err(Problem::TooDeep));
    }
}
