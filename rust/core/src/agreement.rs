//! The reader agrees with the slow one of [`crate::oracle`], on whatever rows there are.

use std::borrow::Cow;
use std::collections::HashMap;

use proptest::prelude::*;

use crate::format::{Format, Layout, PartRule, RoleRule, RuleKind};
use crate::json::{MAX_DEPTH, validate_first};
use crate::oracle::{Scan, read, validate};
use crate::parts::{Part, Parts, Selection};
use crate::records::Block;
use crate::tape::Tape;

/// Layouts that have every kind of rule.
fn layouts() -> Vec<Layout> {
    let rule = |path: &str, role: &str, kind| PartRule {
        path: path.into(),
        role: if role.contains('.') {
            RoleRule::At(role.into())
        } else {
            RoleRule::Fixed(role.into())
        },
        kind,
    };
    let formats = [
        (
            vec!["a", "b"],
            vec![
                rule("d", "system", RuleKind::Opaque),
                rule("a[*].b", "a[*].c", RuleKind::Content),
                rule("a[*].d[*].a", "a[*].c", RuleKind::Content),
                rule("b.a", "user", RuleKind::Text),
                rule("b.b[*]", "user", RuleKind::Content),
            ],
        ),
        (vec!["c"], vec![rule("c", "text", RuleKind::Text)]),
        (vec![], vec![rule("**", "text", RuleKind::Text)]),
    ];
    let layout = |(needs, parts): (Vec<&str>, Vec<PartRule>)| {
        let needs = needs.iter().map(ToString::to_string).collect::<Vec<_>>();
        let format = Format {
            name: "some".into(),
            needs: Vec::from_iter((!needs.is_empty()).then_some(needs)),
            parts,
            roles: HashMap::from([("a".into(), "user".into()), ("é".into(), "tool".into())]),
        };
        let layout = Layout::new(&format).expect("a good format");
        [layout.clone().with_fields(&["e".into()]), layout]
    };
    formats.into_iter().flat_map(layout).collect()
}

fn told(parts: Parts) -> (Vec<Part<'static>>, u64) {
    let owned = |part: Part| Part {
        role: Cow::Owned(part.role.into_owned()),
        text: Cow::Owned(part.text.into_owned()),
        ..part
    };
    (
        parts.list.into_iter().map(owned).collect(),
        parts.duplicate_keys,
    )
}

/// Everything that is read of a row is what the slow reader reads of it.
fn agrees(row: &[u8], tape: &mut Tape) {
    let slow = validate(row).map(|value| value.0.to_vec());
    let fast = crate::json::validate(row, tape).map(|value| value.raw().to_vec());
    assert_eq!(fast, slow);
    assert_eq!(crate::json::check(row), slow.map(|_| ()));
    let mut scan = Scan { bytes: row, at: 0 };
    let slow = scan.value(0).map(|()| scan.at);
    assert_eq!(validate_first(row, 0), slow);
    let some = Selection {
        on: vec!["user".into(), "b".into()],
    };
    for layout in layouts() {
        for selection in [&Selection::default(), &some] {
            let slow = read(row, &layout, selection).map(told);
            let fast = crate::json::validate(row, tape)
                .and_then(|value| Parts::read(value, &layout, selection))
                .map(told);
            assert_eq!(fast, slow);
            let checked = crate::json::validate(row, tape)
                .and_then(|value| crate::parts::check(value, &layout, selection));
            assert_eq!(checked, slow.map(|_| ()));
        }
        let block = Block::of([row], &layout);
        let slow = read(row, &layout, &Selection::default());
        let list = slow.map_or(Vec::new(), |parts| parts.list);
        let texts: Vec<Part> = list.into_iter().filter(|part| !part.opaque).collect();
        assert_eq!(block.texts(), texts.len());
        for (at, text) in texts.iter().enumerate() {
            assert_eq!(
                (&**block.role(at), block.text(at)),
                (&*text.role, text.text.clone())
            );
        }
    }
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 2 => Just(" ".into()), 1 => "[ \\t\\n\\r]{1,3}"]
}

/// A string, often of a key that a layout knows; pieces are long enough to cross a block.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[a-e]",
        2 => "[ -!#-\\[\\]-~]{0,80}",
        1 => "[é日😀\u{7f}]{1,4}",
        2 => prop::sample::select(vec![
            r#"\""#, r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t", r"\u0061", r"\u00E9", r"\u0000",
            r"\ud83d\ude00", r"\ud800", r"\uDC00", r"\ud800\u0061", r"\ud800\n",
        ]).prop_map(str::to_owned),
    ];
    let text = prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat());
    let known = prop::sample::select(vec![
        "a", "b", "c", "d", "e", r"\u0061", "text", "type", "é",
    ]);
    prop_oneof![known.prop_map(str::to_owned), text].prop_map(|inside| format!("\"{inside}\""))
}

fn json() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.50e+03",
        "1E5",
        "0.0",
        "1e-9",
    ]);
    let leaf = prop_oneof![word.prop_map(str::to_owned), string(), string()];
    let spaced = |inner: BoxedStrategy<String>| {
        (space(), inner, space()).prop_map(|(before, inner, after)| before + &inner + &after)
    };
    let value = leaf.prop_recursive(6, 60, 6, move |inner| {
        let array = prop::collection::vec(spaced(inner.clone().boxed()), 0..5);
        let member = (spaced(string().boxed()), spaced(inner.boxed()));
        let member = member.prop_map(|(key, value)| format!("{key}:{value}"));
        let object = prop::collection::vec(member, 0..16);
        let block = string().prop_map(|text| format!(r#"{{"type":"text","text":{text}}}"#));
        prop_oneof![
            2 => array.prop_map(|inner| format!("[{}]", inner.join(","))),
            3 => object.prop_map(|inner| format!("{{{}}}", inner.join(","))),
            1 => block,
        ]
    });
    spaced(value.boxed())
}

/// A row that is nearly of the first layout.
fn row() -> impl Strategy<Value = String> {
    let known = (json(), string(), json(), json());
    let message = (known, string(), prop_oneof![string(), json()]);
    let message = message.prop_map(|((said, role, call, other), again, value)| {
        let said = format!(r#""b":{said},"c":{role},"d":[{{"a":{call}}}]"#);
        format!(r#"{{{said},"e":{other},{again}:{value}}}"#)
    });
    let messages = prop::collection::vec(message, 0..4);
    let row = (messages, json(), json()).prop_map(|(messages, field, other)| {
        format!(
            r#"{{"a":[{}],"e":{field},{}:{other}}}"#,
            messages.join(", "),
            r#""d""#
        )
    });
    prop_oneof![row, json()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_valid_is_read_as_the_slow_reader_reads_it(rows in prop::collection::vec(row(), 1..3)) {
        let mut tape = Tape::default();
        for row in rows {
            prop_assert!(validate(row.as_bytes()).is_ok());
            agrees(row.as_bytes(), &mut tape);
        }
    }

    #[test]
    fn what_is_broken_is_wrong_at_the_same_byte(
        row in row(),
        breaks in prop::collection::vec((any::<prop::sample::Index>(), 0..4, any::<u8>()), 1..4),
    ) {
        const MARKS: &[u8] = b"\"\\{}[],: \n\x00\x1f0e.-tu";
        let mut row = row.into_bytes();
        for (at, how, byte) in breaks {
            let at = at.index(row.len().max(1));
            match how {
                0 => row.truncate(at),
                1 if at < row.len() => row[at] = byte,
                2 => row.insert(at.min(row.len()), MARKS[usize::from(byte) % MARKS.len()]),
                3 if at < row.len() => drop(row.remove(at)),
                _ => {}
            }
        }
        agrees(&row, &mut Tape::default());
    }
}

#[test]
fn deep_and_long_rows_are_read_as_the_slow_reader_reads_them() {
    let mut tape = Tape::default();
    for depth in [1, 2, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            for inside in ["", "1"] {
                let row = [&open.repeat(depth), inside, &close.repeat(depth)].concat();
                agrees(row.as_bytes(), &mut tape);
            }
        }
    }
    for long in 0..200 {
        for tail in ["\"}", "\\\"\"}", "\\", "\\u", "\\u12", "\u{1}\"}", "\"", ""] {
            let row = format!(r#"{{"c":"{}{tail}"#, "x".repeat(long));
            agrees(row.as_bytes(), &mut tape);
        }
    }
}
