//! A cursor over a JSON value that is known to be valid.
//!
//! A [`Value`] walks the bytes without building a tree. It trusts them, so only [`crate::json`] makes
//! one.
//!
//! What a reader would get wrong: an escaped half of a surrogate pair (`"\ud800"`) is valid JSON. It
//! unescapes to three bytes as UTF-8 would encode it if it could ("WTF-8"), so that texts that differ
//! there stay different.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};

use crate::json::is_space;

/// One valid JSON value: exactly its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// A value that was validated.
    pub(crate) fn trusted(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The value's bytes as they stand in the row.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// Is this an object?
    #[must_use]
    pub fn is_object(self) -> bool {
        self.0[0] == b'{'
    }

    /// Is this an array?
    #[must_use]
    pub fn is_array(self) -> bool {
        self.0[0] == b'['
    }

    /// Is this a string?
    #[must_use]
    pub fn is_string(self) -> bool {
        self.0[0] == b'"'
    }

    /// Is this `null`?
    #[must_use]
    pub fn is_null(self) -> bool {
        self.0[0] == b'n'
    }

    /// The text of a string, unescaped; None for any other value.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, [u8]>> {
        self.is_string()
            .then(|| unescape(&self.0[1..self.0.len() - 1]))
    }

    /// The keys (unescaped) and values of an object, in order; nothing for any other value.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, [u8]>, Value<'a>)> {
        let mut items = Items::new(self, b'{');
        std::iter::from_fn(move || {
            let key = items.next()?;
            Some((key.text().unwrap_or_default(), items.next()?))
        })
    }

    /// The elements of an array, in order; nothing for any other value.
    pub fn elements(self) -> impl Iterator<Item = Value<'a>> {
        Items::new(self, b'[')
    }
}

/// The values in a container, one after the other; in an object keys count as values.
struct Items<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Items<'a> {
    fn new(container: Value<'a>, open: u8) -> Self {
        let at = if container.0[0] == open {
            1
        } else {
            container.0.len()
        };
        Self {
            bytes: container.0,
            at,
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        while is_space(*self.bytes.get(self.at)?) || matches!(self.bytes[self.at], b',' | b':') {
            self.at += 1;
        }
        if matches!(self.bytes[self.at], b'}' | b']') {
            return None;
        }
        let start = self.at;
        self.at = end_of(self.bytes, start);
        Some(Value(&self.bytes[start..self.at]))
    }
}

/// The end of the valid value that begins at `at`.
fn end_of(bytes: &[u8], at: usize) -> usize {
    match bytes[at] {
        b'"' => end_of_string(bytes, at),
        b'{' | b'[' => end_of_container(bytes, at).expect("a validated container is closed"),
        _ => {
            let rest = &bytes[at..];
            let ends = |&byte: &u8| is_space(byte) || matches!(byte, b',' | b':' | b'}' | b']');
            at + rest.iter().position(ends).unwrap_or(rest.len())
        }
    }
}

/// The end of the string whose opening quote stands at `at`, or the end of `bytes`.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// The end of the container that opens at `at`, by counting brackets; None if it is not closed.
///
/// Neither trusts nor checks what stands inside.
pub(crate) fn end_of_container(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = end_of_string(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Half a surrogate pair stands in unescaped text as three bytes that UTF-8 does not allow.
pub(crate) fn has_lone_surrogate(text: &[u8]) -> bool {
    memmem::find_iter(text, b"\xED").any(|at| text.get(at + 1).is_some_and(|&byte| byte >= 0xA0))
}

/// The text that the inside of a valid JSON string stands for.
fn unescape(inside: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr(b'\\', inside) else {
        return Cow::Borrowed(inside);
    };
    let mut text = Vec::with_capacity(inside.len());
    text.extend_from_slice(&inside[..first]);
    let mut at = first;
    while at < inside.len() {
        if inside[at] != b'\\' {
            let plain = memchr(b'\\', &inside[at..]).unwrap_or(inside.len() - at);
            text.extend_from_slice(&inside[at..at + plain]);
            at += plain;
            continue;
        }
        at += 2;
        match inside[at - 1] {
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'u' => {
                let high = hex(&inside[at..]);
                at += 4;
                let mut code = high;
                if (0xD800..0xDC00).contains(&high) && inside[at..].starts_with(b"\\u") {
                    let low = hex(&inside[at + 2..]);
                    if (0xDC00..0xE000).contains(&low) {
                        code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                        at += 6;
                    }
                }
                push_code(&mut text, code);
            }
            other => text.push(other),
        }
    }
    Cow::Owned(text)
}

fn hex(digits: &[u8]) -> u32 {
    digits[..4].iter().fold(0, |code, &digit| {
        let digit = char::from(digit)
            .to_digit(16)
            .expect("validated as hexadecimal");
        code * 16 + digit
    })
}

fn push_code(text: &mut Vec<u8>, code: u32) {
    if let Some(scalar) = char::from_u32(code) {
        text.extend_from_slice(scalar.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        let low = |shift: u32| 0x80 | (code >> shift & 0x3F) as u8;
        text.extend_from_slice(&[0xE0 | (code >> 12) as u8, low(6), low(0)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::validate;

    #[test]
    fn texts_are_unescaped() {
        let cases: [(&str, &[u8]); 7] = [
            (r#""plain""#, b"plain"),
            (r#""a\n\t\"\\\/""#, b"a\n\t\"\\/"),
            (r#""\u0041\u00e9""#, "Aé".as_bytes()),
            (r#""\ud83d\ude00""#, "😀".as_bytes()),
            (r#""\ud800""#, b"\xED\xA0\x80"),
            (r#""\ud800\u0041""#, b"\xED\xA0\x80A"),
            (r#""\udc00\ud800""#, b"\xED\xB0\x80\xED\xA0\x80"),
        ];
        for (json, text) in cases {
            let value = validate(json.as_bytes()).expect("valid");
            assert_eq!(value.text().as_deref(), Some(text), "{json}");
        }
    }

    #[test]
    fn members_and_elements_come_in_order() {
        let value =
            validate(br#" {"a" : [1 , {"x":"]"}, "}"], "b":null,"a":-1.5e3} "#).expect("valid");
        let members: Vec<_> = value
            .members()
            .map(|(key, value)| (key.into_owned(), value.raw()))
            .collect();
        assert_eq!(members.len(), 3);
        assert_eq!(members[2], (b"a".to_vec(), &b"-1.5e3"[..]));
        let (_, array) = value.members().next().expect("has members");
        let raw: Vec<_> = array.elements().map(Value::raw).collect();
        assert_eq!(raw, [&b"1"[..], br#"{"x":"]"}"#, br#""}""#]);
    }
}
