//! JSON as `serde_json` reads it, where nothing is lost: equal keys stay apart, values keep their
//! bytes, and half of a surrogate pair is three bytes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A string, as `serde_json` reads it into bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub Vec<u8>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
                to.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(bytes.to_vec()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.as_bytes().to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// The members of an object, in order.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(Vec<u8>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
                to.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// A value by its kind.
pub enum Kind<'a> {
    Null,
    Text(Vec<u8>),
    Array(Vec<&'a RawValue>),
    Object(Vec<(Vec<u8>, &'a RawValue)>),
    /// A number, `true` or `false`.
    Other,
}

/// One level of a valid value.
pub fn kind(value: &RawValue) -> Kind<'_> {
    let json = value.get();
    match json.as_bytes()[0] {
        b'n' => Kind::Null,
        b'"' => Kind::Text(parsed::<Text>(json).0),
        b'[' => Kind::Array(parsed(json)),
        b'{' => Kind::Object(parsed::<Members>(json).0),
        _ => Kind::Other,
    }
}

fn parsed<'a, T: Deserialize<'a>>(json: &'a str) -> T {
    serde_json::from_str(json).expect("raw values are valid")
}

/// How often arrays and objects stand in one another.
pub fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut is_text, mut is_escape) = (0, 0, false, false);
    for byte in json.bytes() {
        if is_text {
            is_text = is_escape || byte != b'"';
            is_escape = !is_escape && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => is_text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The offset of a value in the bytes that it was read from.
pub fn offset(value: &RawValue, within: &[u8]) -> usize {
    value.get().as_ptr() as usize - within.as_ptr() as usize
}
