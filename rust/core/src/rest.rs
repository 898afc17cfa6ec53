//! What a row holds besides its compared parts.
//!
//! Two rows whose text is alike may still differ in a label or an id. [`hash`] is equal for rows
//! that are equal there as JSON: whatever the order of keys, the spacing and the spelling of
//! escapes; of equal keys the last counts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use twox_hash::XxHash3_64;

use crate::corpus::Read;
use crate::shingles::mix;
use crate::value::Value;

/// Hash of a row without its compared parts.
pub(crate) fn hash(row: &Read) -> u64 {
    let mut spans: Vec<Range<usize>> = row
        .parts
        .list
        .iter()
        .map(|part| part.span.clone())
        .collect();
    spans.sort_unstable_by_key(|span| span.start);
    value(row.object, &|value: Value| {
        let own = value.span();
        let at = spans.partition_point(|span| span.start < own.start);
        spans.get(at) == Some(&own)
    })
}

fn value(of: Value, is_part: &impl Fn(Value) -> bool) -> u64 {
    if is_part(of) {
        1
    } else if of.is_object() {
        let last: HashMap<Cow<[u8]>, Value> = of.members().collect();
        let member = |(key, inner): (&Cow<[u8]>, &Value)| {
            mix(XxHash3_64::oneshot(key) ^ mix(value(*inner, is_part)))
        };
        last.iter().map(member).fold(2, u64::wrapping_add)
    } else if of.is_array() {
        of.elements()
            .fold(3, |hash, element| mix(hash ^ value(element, is_part)))
    } else if let Some(text) = of.text() {
        mix(4 ^ XxHash3_64::oneshot(&text))
    } else {
        mix(5 ^ XxHash3_64::oneshot(of.raw()))
    }
}
