//! A cursor over a JSON value that is known to be valid.
//!
//! A [`Value`] walks a [`Tape`](crate::tape::Tape) beside the bytes. It trusts both, so only
//! [`crate::json`] makes one.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2};

use crate::instructions::Instructions;
use crate::tape::{Escapes, Node};
use crate::unescape::{escape, unescape};

/// One valid JSON value of a row.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    /// The row.
    bytes: &'a [u8],
    /// Of this value, and of what stands in it.
    nodes: &'a [Node],
}

impl<'a> Value<'a> {
    /// A value that was validated; the first node is its own.
    pub(crate) fn trusted(bytes: &'a [u8], nodes: &'a [Node]) -> Self {
        Self { bytes, nodes }
    }

    fn first(self) -> u8 {
        self.bytes[self.nodes[0].start]
    }

    /// Where the value stands in the row.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        self.nodes[0].start..self.nodes[0].end
    }

    /// The value's bytes as they stand in the row.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        &self.bytes[self.span()]
    }

    /// Is this an object?
    #[must_use]
    pub fn is_object(self) -> bool {
        self.first() == b'{'
    }

    /// Is this an array?
    #[must_use]
    pub fn is_array(self) -> bool {
        self.first() == b'['
    }

    /// Is this a string?
    #[must_use]
    pub fn is_string(self) -> bool {
        self.first() == b'"'
    }

    /// Is this `null`?
    #[must_use]
    pub fn is_null(self) -> bool {
        self.first() == b'n'
    }

    /// The text of a string, unescaped; None for any other value.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, [u8]>> {
        self.is_string()
            .then(|| text_at(self.bytes, &self.nodes[0]))
    }

    /// The text of a string, escaped in the one way in which [`Escapes::Short`] has it: equal for equal
    /// texts, and mostly what stands in the row. None for any other value.
    pub(crate) fn escaped_text(self) -> Option<Cow<'a, [u8]>> {
        self.is_string().then(|| {
            let node = &self.nodes[0];
            if node.escapes == Escapes::Any {
                Cow::Owned(escape(&text_at(self.bytes, node)))
            } else {
                Cow::Borrowed(&self.bytes[node.start + 1..node.end - 1])
            }
        })
    }

    /// The keys (unescaped) and values of an object, in order; nothing for any other value.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, [u8]>, Value<'a>)> {
        let mut rest = self.inside(self.is_object());
        std::iter::from_fn(move || {
            let (key, after) = rest.split_first()?;
            rest = after;
            Some((text_at(self.bytes, key), self.next(&mut rest)?))
        })
    }

    /// The keys of an object, in order, and the nodes of its values, for [`Value::at`].
    pub(crate) fn keys(self) -> impl Iterator<Item = (Key<'a>, usize)> + Clone {
        let nodes = if self.is_object() { self.nodes } else { &[] };
        let mut at = 1;
        std::iter::from_fn(move || {
            let node = nodes.get(at)?;
            let bytes = self.bytes;
            let value = at + 1;
            at = value + nodes.get(value)?.nodes;
            Some((Key { bytes, node }, value))
        })
    }

    /// The value of a member, by its node.
    pub(crate) fn at(self, node: usize) -> Self {
        let nodes = &self.nodes[node..];
        let nodes = &nodes[..nodes[0].nodes];
        Self { nodes, ..self }
    }

    /// The elements of an array, in order; nothing for any other value.
    pub fn elements(self) -> impl Iterator<Item = Value<'a>> {
        let mut rest = self.inside(self.is_array());
        std::iter::from_fn(move || self.next(&mut rest))
    }

    /// The nodes of what stands in the value, if that is asked for.
    fn inside(self, is_asked: bool) -> &'a [Node] {
        if is_asked { &self.nodes[1..] } else { &[] }
    }

    /// Take the first value of these nodes.
    fn next(self, rest: &mut &'a [Node]) -> Option<Self> {
        let (nodes, after) = rest.split_at(rest.first()?.nodes);
        *rest = after;
        Some(Self { nodes, ..self })
    }
}

/// A key of an object.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    bytes: &'a [u8],
    node: &'a Node,
}

impl<'a> Key<'a> {
    pub(crate) fn text(self) -> Cow<'a, [u8]> {
        text_at(self.bytes, self.node)
    }

    /// Is its text this one?
    #[inline]
    pub(crate) fn is(self, text: &str) -> bool {
        if self.node.escapes == Escapes::None {
            self.bytes[self.node.start + 1..self.node.end - 1] == *text.as_bytes()
        } else {
            *self.text() == *text.as_bytes()
        }
    }

    /// Do two keys have the same text?
    #[inline]
    pub(crate) fn equals(self, other: Self) -> bool {
        self.text() == other.text()
    }
}

fn text_at<'a>(bytes: &'a [u8], string: &Node) -> Cow<'a, [u8]> {
    let inside = &bytes[string.start + 1..string.end - 1];
    if string.escapes == Escapes::None {
        Cow::Borrowed(inside)
    } else {
        Cow::Owned(unescape(inside, Instructions::here()))
    }
}

/// The text of a valid JSON string that is known by its bytes alone.
pub(crate) fn text_of(string: &[u8]) -> Cow<'_, [u8]> {
    let inside = &string[1..string.len() - 1];
    if memchr(b'\\', inside).is_none() {
        return Cow::Borrowed(inside);
    }
    Cow::Owned(unescape(inside, Instructions::here()))
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
    memchr_iter(0xED, text).any(|at| text.get(at + 1).is_some_and(|&byte| byte >= 0xA0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::validate;
    use crate::tape::Tape;

    #[test]
    fn members_and_elements_come_in_order() {
        let row = br#" {"a" : [1 , {"x":"]"}, "}"], "b":null,"a":-1.5e3} "#;
        let mut tape = Tape::default();
        let value = validate(row, &mut tape).expect("valid");
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
