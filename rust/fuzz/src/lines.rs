//! Rows are what a plain split into lines gives, or the elements that `serde_json` finds in an
//! array.

use curatekit_core::kernels::{Row, check, rows};
use curatekit_core::{Error, Framing};
use serde_json::value::RawValue;

use crate::slow;
use crate::validate::DEEPEST;

/// Names that say other things about what is inside.
const NAMES: [&str; 4] = ["a.jsonl", "a.json", "a", "a.ndjson.gz"];

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The first byte chooses a name.
pub fn holds(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else {
        return;
    };
    let name = NAMES[usize::from(first) % NAMES.len()];
    let start = if bytes.starts_with(b"\xEF\xBB\xBF") {
        3
    } else {
        0
    };
    let inside = &bytes[start..];
    let found = rows(bytes, name);
    match &found {
        Ok((Framing::Lines, rows, blank)) => are_lines(rows, *blank, bytes, start),
        Ok((Framing::Array, rows, blank)) => {
            assert_eq!(*blank, 0);
            are_elements(rows, bytes, start);
        }
        Ok((Framing::Object, rows, blank)) => {
            assert_eq!((rows.len(), *blank), (1, 0));
            let span = rows[0].span.clone();
            assert!(
                bytes[start..span.start]
                    .iter()
                    .chain(&bytes[span.end..])
                    .all(|&b| is_space(b))
            );
            assert!(bytes[span.clone()].contains(&b'\n'));
            assert_eq!(rows[0].line, line_of(bytes, span.start));
        }
        Err(Error::Broken { .. }) => assert_eq!(first_of(inside), Some(b'[')),
        Err(error) => panic!("{error}"),
    }
    // What is one value is read as one, unless its name and its first line say otherwise.
    if serde_json::from_slice::<Vec<&RawValue>>(inside).is_ok() && !name.contains("jsonl") {
        assert!(matches!(found, Ok((Framing::Array, ..))) || name.contains("ndjson"));
    }
    let value = serde_json::from_slice::<&RawValue>(inside).map(RawValue::get);
    let is_object = |json: &str| json.starts_with('{') && slow::depth(json) <= DEEPEST;
    if value.is_ok_and(|json| is_object(json) && json.contains('\n')) {
        assert!(matches!(found, Ok((Framing::Object, ..))));
    }
}

fn first_of(bytes: &[u8]) -> Option<u8> {
    bytes.iter().copied().find(|&byte| !is_space(byte))
}

fn line_of(bytes: &[u8], at: usize) -> u64 {
    bytes[..at].split(|&byte| byte == b'\n').count() as u64
}

fn are_lines(rows: &[Row], blank: u64, bytes: &[u8], start: usize) {
    let mut at = start;
    let mut expected = Vec::new();
    let mut blank_lines = 0;
    let mut lines: Vec<&[u8]> = bytes[start..].split(|&byte| byte == b'\n').collect();
    lines.pop_if(|last| last.is_empty()); // a line feed ends a line, and begins none
    for (line, text) in (1..).zip(lines) {
        if text.iter().all(|&byte| is_space(byte)) {
            blank_lines += 1;
        } else {
            let span = at..at + text.len();
            expected.push(Row { span, line });
        }
        at += text.len() + 1;
    }
    assert_eq!(rows, expected);
    assert_eq!(blank, blank_lines);
}

fn are_elements(rows: &[Row], bytes: &[u8], start: usize) {
    let mut end = start;
    let mut between: Vec<u8> = Vec::new();
    for row in rows {
        assert!(!row.span.is_empty());
        assert_eq!(row.line, line_of(bytes, row.span.start));
        between.extend(
            bytes[end..row.span.start]
                .iter()
                .filter(|&&byte| !is_space(byte)),
        );
        end = row.span.end;
    }
    between.extend(bytes[end..].iter().filter(|&&byte| !is_space(byte)));
    let commas = vec![b','; rows.len().saturating_sub(1)];
    assert_eq!(between, [b"[", &*commas, b"]"].concat());
    // If all rows are good, so is the array; and a good array has these rows.
    let theirs = serde_json::from_slice::<Vec<&RawValue>>(&bytes[start..]);
    let is_good = |row: &Row| check(&bytes[row.span.clone()]).is_ok();
    match theirs {
        Ok(theirs) => {
            let place = |value: &&RawValue| {
                let at = slow::offset(value, bytes);
                at..at + value.get().len()
            };
            assert!(
                rows.iter()
                    .map(|row| row.span.clone())
                    .eq(theirs.iter().map(place))
            );
        }
        Err(error) => assert!(!rows.iter().all(is_good), "{error}"),
    }
}
