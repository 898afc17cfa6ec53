//! The text of a string is what `serde_json` reads it as, into bytes: half of a surrogate pair is
//! the three bytes that UTF-8 would have for it. A text that is written is read again.

use curatekit_core::kernels::quoted;
use curatekit_core::{Tape, Value, validate};
use serde_json::value::RawValue;

use crate::slow::{Kind, kind};

/// `inside` stands between the quotes.
pub fn holds(inside: &[u8]) {
    let string = [b"\"", inside, b"\""].concat();
    let mut tape = Tape::default();
    let value = validate(&string, &mut tape);
    // Only a raw value is checked: bytes may be no UTF-8 and hold bare control characters.
    let theirs = serde_json::from_slice::<&RawValue>(&string).ok();
    let theirs = theirs.and_then(|string| match kind(string) {
        Kind::Text(text) => Some(text),
        _ => None,
    });
    let ours = value.ok().and_then(Value::text);
    assert_eq!(ours.as_deref(), theirs.as_deref());
    if let Ok(text) = std::str::from_utf8(inside) {
        let written = quoted(text);
        let again = validate(written.as_bytes(), &mut tape).expect("a string");
        assert_eq!(again.text().as_deref(), Some(inside));
        assert_eq!(
            serde_json::from_str::<String>(&written).expect("a string"),
            text
        );
    }
}
