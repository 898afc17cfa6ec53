//! Strict validation of one JSON value.
//!
//! [`validate`] accepts what RFC 8259 accepts, in UTF-8, nested up to [`MAX_DEPTH`], and nothing else.
//! What it returns is a [`Value`], whose methods trust the bytes.

use std::fmt::Write as _;

use crate::error::Problem;
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
pub fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && is_space(bytes[at]) {
        at += 1;
    }
    at
}

/// The value in `bytes`, which may have white space around it and nothing else.
///
/// # Errors
/// The first thing that is wrong, with its offset.
pub fn validate(bytes: &[u8]) -> Result<Value<'_>, Problem> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(Problem::InvalidUtf8 {
            at: error.valid_up_to(),
        });
    }
    let start = skip_space(bytes, 0);
    let end = validate_first(bytes, start)?;
    let rest = skip_space(bytes, end);
    if rest < bytes.len() {
        return Err(Problem::InvalidJson {
            at: rest,
            expected: "the end of the row",
        });
    }
    Ok(Value::trusted(&bytes[start..end]))
}

/// The end of the value that begins at `start`, whatever follows. Does not look at the encoding.
pub(crate) fn validate_first(bytes: &[u8], start: usize) -> Result<usize, Problem> {
    let mut scan = Scan { bytes, at: start };
    scan.value(0)?;
    Ok(scan.at)
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

/// How many bytes at the start of `bytes` mean themselves in a string: no quote, no backslash, no
/// control character. May stop early, in the last few bytes.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let mut at = 0;
    // A loop without a branch inside becomes vector instructions.
    for chunk in bytes.chunks_exact(32) {
        if chunk
            .iter()
            .fold(false, |any, &byte| any | is_special(byte))
        {
            break;
        }
        at += chunk.len();
    }
    for word in bytes[at..].chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().expect("chunks are eight bytes"));
        let is_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let quotes = is_zero(word ^ (ONES * u64::from(b'"')));
        let slashes = is_zero(word ^ (ONES * u64::from(b'\\')));
        // The lowest mark is right; those above it may be raised by a borrow.
        let found = controls | quotes | slashes;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, Problem> {
        Err(Problem::InvalidJson {
            at: self.at,
            expected,
        })
    }

    fn value(&mut self, depth: usize) -> Result<(), Problem> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.container(depth, b'}', true),
            Some(b'[') => self.container(depth, b']', false),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.fail("a value"),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Problem> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.fail("`true`, `false` or `null`");
        }
        self.at += word.len();
        Ok(())
    }

    fn container(&mut self, depth: usize, close: u8, keyed: bool) -> Result<(), Problem> {
        if depth == MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        self.at = skip_space(self.bytes, self.at + 1);
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            if keyed {
                if self.peek() != Some(b'"') {
                    return self.fail("a key in quotes");
                }
                self.string()?;
                self.at = skip_space(self.bytes, self.at);
                if self.peek() != Some(b':') {
                    return self.fail("`:`");
                }
                self.at = skip_space(self.bytes, self.at + 1);
            }
            self.value(depth + 1)?;
            self.at = skip_space(self.bytes, self.at);
            match self.peek() {
                Some(b',') => self.at = skip_space(self.bytes, self.at + 1),
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail(if keyed { "`,` or `}`" } else { "`,` or `]`" }),
            }
        }
    }

    fn string(&mut self) -> Result<(), Problem> {
        self.at += 1;
        loop {
            self.at += plain(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                Some(_) => return self.fail("no bare control character in a string"),
                None => return self.fail("the end of the string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Problem> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.fail("four hexadecimal digits");
                    }
                }
                self.at += 1;
            }
            _ => return self.fail("one of `\"\\/bfnrtu` after a backslash"),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Problem> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fail("a digit"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), Problem> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.fail("a digit");
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_in_containers() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(validate(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(validate(&nested(MAX_DEPTH + 1)), Err(Problem::TooDeep));
        assert_eq!(validate(&vec![b'['; 10_000]), Err(Problem::TooDeep));
    }
}
