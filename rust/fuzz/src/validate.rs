//! The validator accepts what `serde_json` does, and reads the same from it.
//!
//! Against the grammar there is one exception: what is nested deeper than 256 levels is no row.
//! Against `serde_json::Value` there are more, since that is not only about grammar: it takes 127
//! levels, no number beyond `f64`, and no half of a surrogate pair; all of these are rows. A byte
//! order mark is refused by both; it may only stand before the first row, which is a matter of
//! [`crate::lines`].

use curatekit_core::kernels::{check, has_lone_surrogate};
use curatekit_core::{Tape, Value, validate};
use serde_json::value::RawValue;

use crate::slow::{self, Kind};

/// Levels of a row.
pub(crate) const DEEPEST: usize = 256;
/// Levels of a `serde_json::Value`.
const DEEPEST_OF_SERDE: usize = 127;

pub fn holds(bytes: &[u8]) {
    let mut tape = Tape::default();
    let ours = validate(bytes, &mut tape);
    assert_eq!(
        check(bytes),
        ours.as_ref().map(|_| ()).map_err(Clone::clone)
    );
    let theirs = serde_json::from_slice::<&RawValue>(bytes);
    let depth = theirs.as_ref().map_or(0, |value| slow::depth(value.get()));
    assert_eq!(
        ours.is_ok(),
        theirs.is_ok() && depth <= DEEPEST,
        "{ours:?}, {theirs:?}"
    );
    let (Ok(ours), Ok(theirs)) = (ours, theirs) else {
        return;
    };
    let mut odd = Odd::default();
    same(ours, theirs, bytes, &mut odd);
    let value = serde_json::from_slice::<serde_json::Value>(bytes);
    let takes = depth <= DEEPEST_OF_SERDE && !odd.has_huge_number && !odd.has_half_of_a_pair;
    assert_eq!(value.is_ok(), takes, "{value:?}, {odd:?}");
}

/// What `serde_json::Value` does not take.
#[derive(Debug, Default)]
struct Odd {
    has_huge_number: bool,
    has_half_of_a_pair: bool,
}

/// Every value stands where it stands for `serde_json`, and every text is the same.
fn same(ours: Value, theirs: &RawValue, bytes: &[u8], odd: &mut Odd) {
    assert_eq!(ours.raw(), theirs.get().as_bytes());
    assert_eq!(ours.span().start, slow::offset(theirs, bytes));
    let kind = slow::kind(theirs);
    assert_eq!(ours.is_null(), matches!(kind, Kind::Null));
    assert_eq!(ours.is_string(), matches!(kind, Kind::Text(_)));
    assert_eq!(ours.is_array(), matches!(kind, Kind::Array(_)));
    assert_eq!(ours.is_object(), matches!(kind, Kind::Object(_)));
    let (mut elements, mut members) = (ours.elements(), ours.members());
    match kind {
        Kind::Text(text) => {
            assert_eq!(ours.text().as_deref(), Some(&*text));
            odd.has_half_of_a_pair |= has_half_of_a_pair(&text);
        }
        Kind::Array(list) => {
            for theirs in list {
                same(elements.next().expect("an element"), theirs, bytes, odd);
            }
        }
        Kind::Object(list) => {
            for (key, theirs) in list {
                let (our_key, ours) = members.next().expect("a member");
                assert_eq!(our_key, key);
                odd.has_half_of_a_pair |= has_half_of_a_pair(&key);
                same(ours, theirs, bytes, odd);
            }
        }
        Kind::Null | Kind::Other => {
            let number = theirs.get().parse::<f64>();
            odd.has_huge_number |= number.is_ok_and(f64::is_infinite);
        }
    }
    assert!(elements.next().is_none() && members.next().is_none());
}

fn has_half_of_a_pair(text: &[u8]) -> bool {
    let has = std::str::from_utf8(text).is_err();
    assert_eq!(has_lone_surrogate(text), has);
    has
}
