//! Strict validation of one JSON value.
//!
//! [`validate`] accepts what RFC 8259 accepts, in UTF-8, nested up to [`MAX_DEPTH`], and nothing else.
//! What it returns is a [`Value`], whose methods trust the bytes.
//!
//! Inside strings the scan goes from stop to stop ([`crate::blocks`]), which are found for many bytes at a
//! time, and so is whether all of them are ASCII. If not, the encoding is looked at after the structure;
//! what is wrong with it is told first.

use crate::blocks::{BLOCK, Marks, find_marks};
use crate::error::Problem;
use crate::instructions::Instructions;
use crate::tape::{Escapes, Record, Tape, Unrecorded};
use crate::unescape::escape;
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
    let mut scan = Scan::of(bytes, record);
    let found = scan.whole();
    // Strings were seen whole, and outside of them what is no ASCII is no JSON.
    if found.is_ok() && scan.is_ascii {
        return Ok(());
    }
    match simdutf8::compat::from_utf8(bytes) {
        Ok(_) => found,
        Err(error) => Err(Problem::InvalidUtf8 {
            at: error.valid_up_to(),
        }),
    }
}

/// The end of the value that begins at `start`, whatever follows. Does not look at the encoding.
pub(crate) fn validate_first(bytes: &[u8], start: usize) -> Result<usize, Problem> {
    Scan::of(bytes, Unrecorded).first(start)
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut json = vec![b'"'];
    json.extend(escape(text.as_bytes()));
    json.push(b'"');
    String::from_utf8(json).expect("escapes are ASCII")
}

/// Blocks whose marks are found at a time.
const WINDOW: usize = 16;

/// What was found wrong is kept in the scan.
struct Wrong;

struct Scan<'a, R> {
    bytes: &'a [u8],
    record: R,
    /// The blocks whose marks are known.
    window: usize,
    marks: [Marks; WINDOW],
    /// Is the first byte behind them escaped?
    escapes: u64,
    /// Were the blocks so far ASCII?
    is_ascii: bool,
    instructions: Instructions,
    problem: Option<Problem>,
}

impl<'a, R: Record> Scan<'a, R> {
    fn of(bytes: &'a [u8], record: R) -> Self {
        Self {
            bytes,
            record,
            window: usize::MAX,
            marks: [Marks::default(); WINDOW],
            escapes: 0,
            is_ascii: true,
            instructions: Instructions::here(),
            problem: None,
        }
    }

    /// Is all of it one value?
    fn whole(&mut self) -> Result<(), Problem> {
        let end = self.first(skip_space(self.bytes, 0))?;
        let rest = skip_space(self.bytes, end);
        if rest < self.bytes.len() {
            return Err(Problem::InvalidJson {
                at: rest,
                expected: "the end of the row",
            });
        }
        Ok(())
    }

    /// The end of the value that begins at `start`.
    fn first(&mut self, start: usize) -> Result<usize, Problem> {
        let end = self.value(start, 0);
        end.map_err(|Wrong| self.problem.take().expect("what is wrong was told"))
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
        self.record.leaf(at, end, Escapes::None);
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
        let mut escapes = Escapes::None;
        loop {
            at = self.next_stop(at, &mut escapes);
            match self.peek(at) {
                Some(b'"') => {
                    self.record.leaf(start, at + 1, escapes);
                    return Ok(at + 1);
                }
                // Neither stops by itself, so it is escaped.
                Some(b'/') => at += 1,
                Some(b'u') => at = self.code(at + 1)?,
                _ => return self.odd(start, at),
            }
            escapes = Escapes::Any;
        }
    }

    /// What is wrong with a byte, or the end, that no string has.
    #[cold]
    fn odd(&mut self, start: usize, at: usize) -> Result<usize, Wrong> {
        let before = self.bytes[start + 1..at].iter().rev();
        let backslashes = before.take_while(|&&byte| byte == b'\\').count();
        if backslashes % 2 == 1 {
            return self.fail(at, "one of `\"\\/bfnrtu` after a backslash");
        }
        match self.peek(at) {
            Some(_) => self.fail(at, "no bare control character in a string"),
            None => self.fail(at, "the end of the string"),
        }
    }

    /// The first stop at or after `at`, or the end of the bytes; notes whether something is escaped
    /// before it.
    #[inline]
    fn next_stop(&mut self, at: usize, escapes: &mut Escapes) -> usize {
        let (mut block, mut from) = (at / BLOCK, u64::MAX << (at % BLOCK));
        let (mut end, mut backslashes) = (self.bytes.len(), 0);
        'search: while block <= self.bytes.len() / BLOCK {
            for marks in self.marks_from(block) {
                let stops = marks.stops & from;
                if stops != 0 {
                    end = end.min(block * BLOCK + stops.trailing_zeros() as usize);
                    backslashes |= marks.backslashes & from & !stops & stops.wrapping_sub(1);
                    break 'search;
                }
                backslashes |= marks.backslashes & from;
                from = u64::MAX;
                block += 1;
            }
        }
        if backslashes != 0 && *escapes == Escapes::None {
            *escapes = Escapes::Short;
        }
        end
    }

    /// The marks of a block and of some behind it. Those behind the end of the bytes may be left from
    /// another window: no string goes on there.
    #[inline]
    fn marks_from(&mut self, block: usize) -> &[Marks] {
        if block / WINDOW != self.window {
            // Between strings no byte is escaped, so what was passed over escapes nothing.
            if block / WINDOW != self.window.wrapping_add(1) {
                self.escapes = 0;
            }
            self.window = block / WINDOW;
            let rest = self.bytes.get(self.window * (WINDOW * BLOCK)..);
            let rest = rest.unwrap_or_default();
            self.is_ascii &=
                find_marks(rest, &mut self.escapes, &mut self.marks, self.instructions);
        }
        &self.marks[block % WINDOW..]
    }

    /// The end of the four digits at `at`.
    #[inline]
    fn code(&mut self, at: usize) -> Result<usize, Wrong> {
        let digits = self.bytes[at..].iter().take(4);
        let good = digits.take_while(|byte| byte.is_ascii_hexdigit()).count();
        if good < 4 {
            return self.fail(at + good, "four hexadecimal digits");
        }
        Ok(at + 4)
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
        self.record.leaf(start, at, Escapes::None);
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
