//! The parts of a row are what plain code finds in the tree that `serde_json` makes of it.
//!
//! Of equal keys the last counts. A row that is not of the layout has no parts, whatever is wrong
//! with it: the words for that are a matter of the tests of the core.

use std::collections::HashMap;

use curatekit_core::{
    Format, Layout, PartRule, Parts, RoleRule, RuleKind, Selection, Tape, validate,
};
use serde_json::value::RawValue;

use crate::slow::{self, Kind, kind};
use crate::validate::DEEPEST;

/// Role, is it opaque, text, and where its value begins.
type Found = (String, bool, Vec<u8>, usize);
/// Finds the parts of an object, and how many keys stood there again; None if it is of another
/// layout.
type Slow = fn(&mut Walk, &RawValue) -> Option<()>;

/// What the words for roles in the data mean; others stand for themselves.
const ROLES: [(&str, &str); 3] = [
    ("human", "user"),
    ("gpt", "assistant"),
    ("développeur", "system"),
];

/// The first byte chooses a layout and roles.
pub fn holds(bytes: &[u8]) {
    let Some((&first, row)) = bytes.split_first() else {
        return;
    };
    let (format, slow) = match first % 3 {
        0 => (chat(), chat_slowly as Slow),
        1 => (alpaca(), alpaca_slowly as Slow),
        _ => (record(), record_slowly as Slow),
    };
    let on = if first & 4 == 0 {
        vec![]
    } else {
        vec!["user".to_owned(), "text".to_owned()]
    };
    let layout = Layout::new(&format).expect("a good format");
    let mut tape = Tape::default();
    let selection = Selection { on };
    let ours = validate(row, &mut tape)
        .and_then(|object| Parts::read(object, &layout, &selection))
        .ok();
    let mut walk = Walk {
        row,
        selection: &selection,
        found: Vec::new(),
        again: 0,
    };
    let theirs = serde_json::from_slice::<&RawValue>(row).ok();
    let theirs = theirs
        .filter(|value| slow::depth(value.get()) <= DEEPEST)
        .and_then(|value| slow(&mut walk, value));
    assert_eq!(ours.is_some(), theirs.is_some());
    let Some(ours) = ours else {
        return;
    };
    let told = ours.list.iter().map(|part| {
        let text = part.text.to_vec();
        (part.role.to_string(), part.opaque, text, part.span.start)
    });
    assert_eq!(told.collect::<Vec<_>>(), walk.found);
    if first % 3 == 2 {
        assert_eq!(ours.duplicate_keys, walk.again);
    }
}

fn rule(path: &str, role: &str, kind: RuleKind) -> PartRule {
    let role = if role.contains('.') {
        RoleRule::At(role.into())
    } else {
        RoleRule::Fixed(role.into())
    };
    PartRule {
        path: path.into(),
        role,
        kind,
    }
}

fn format(needs: &[&[&str]], parts: Vec<PartRule>) -> Format {
    let group = |keys: &&[&str]| keys.iter().map(ToString::to_string).collect();
    let meaning = |&(word, role): &(&str, &str)| (word.to_owned(), role.to_owned());
    Format {
        name: "some".into(),
        needs: needs.iter().map(group).collect(),
        parts,
        roles: ROLES.iter().map(meaning).collect(),
    }
}

fn chat() -> Format {
    let said = [
        "content",
        "refusal",
        "function_call.name",
        "function_call.arguments",
    ];
    let called = ["function.name", "function.arguments", "name"];
    let mut parts = vec![rule("tools", "system", RuleKind::Opaque)];
    let said = said.map(|path| format!("messages[*].{path}"));
    let called = called.map(|path| format!("messages[*].tool_calls[*].{path}"));
    for path in said.iter().chain(&called) {
        parts.push(rule(path, "messages[*].role", RuleKind::Content));
    }
    format(&[&["messages"]], parts)
}

fn chat_slowly(walk: &mut Walk, row: &RawValue) -> Option<()> {
    let row = object(row)?;
    let messages = get(&row, "messages")?;
    walk.opaque(get(&row, "tools"), "system");
    for message in array(messages)? {
        let message = object(message)?;
        let Kind::Text(word) = kind(get(&message, "role")?) else {
            return None;
        };
        let word = String::from_utf8_lossy(&word).into_owned();
        let known = ROLES.iter().find(|(known, _)| *known == word);
        let role = known.map_or(&*word, |(_, role)| role);
        walk.content(get(&message, "content"), role);
        walk.content(get(&message, "refusal"), role);
        if let Some(call) = get(&message, "function_call") {
            walk.call(&object(call)?, role);
        }
        let Some(calls) = get(&message, "tool_calls") else {
            continue;
        };
        for call in array(calls)? {
            let call = object(call)?;
            if let Some(function) = get(&call, "function") {
                walk.call(&object(function)?, role);
            }
            walk.content(get(&call, "name"), role);
        }
    }
    Some(())
}

fn alpaca() -> Format {
    let parts = vec![
        rule("system", "system", RuleKind::Text),
        rule("history", "user", RuleKind::Opaque),
        rule("instruction", "user", RuleKind::Text),
        rule("output", "assistant", RuleKind::Text),
        rule("response", "assistant", RuleKind::Text),
    ];
    format(&[&["instruction"], &["output", "response"]], parts)
}

fn alpaca_slowly(walk: &mut Walk, row: &RawValue) -> Option<()> {
    let row = object(row)?;
    get(&row, "instruction")?;
    // One member of that name is enough, also if a later one is null.
    any(&row, "output").or(any(&row, "response"))?;
    for (field, role) in [
        ("system", "system"),
        ("history", "user"),
        ("instruction", "user"),
        ("output", "assistant"),
        ("response", "assistant"),
    ] {
        match get(&row, field) {
            Some(value) if field == "history" => walk.opaque(Some(value), role),
            Some(value) => match kind(value) {
                Kind::Text(text) => walk.push(value, role, text, false),
                _ => return None,
            },
            None => {}
        }
    }
    Some(())
}

fn record() -> Format {
    format(&[], vec![rule("**", "text", RuleKind::Text)])
}

fn record_slowly(walk: &mut Walk, row: &RawValue) -> Option<()> {
    object(row)?;
    walk.every_string(row);
    Some(())
}

type Object<'a> = Vec<(Vec<u8>, &'a RawValue)>;

fn object(value: &RawValue) -> Option<Object<'_>> {
    match kind(value) {
        Kind::Object(members) => Some(members),
        _ => None,
    }
}

fn array(value: &RawValue) -> Option<Vec<&RawValue>> {
    match kind(value) {
        Kind::Array(elements) => Some(elements),
        _ => None,
    }
}

fn is_null(value: &RawValue) -> bool {
    matches!(kind(value), Kind::Null)
}

/// The last member of this name, unless it is null.
fn get<'a>(object: &Object<'a>, name: &str) -> Option<&'a RawValue> {
    let last = object.iter().rev().find(|(key, _)| key == name.as_bytes());
    last.map(|(_, value)| *value)
        .filter(|value| !is_null(value))
}

/// Any member of this name that is not null.
fn any<'a>(object: &Object<'a>, name: &str) -> Option<&'a RawValue> {
    let named = object.iter().filter(|(key, _)| key == name.as_bytes());
    named.map(|(_, value)| *value).find(|value| !is_null(value))
}

struct Walk<'a> {
    row: &'a [u8],
    selection: &'a Selection,
    found: Vec<Found>,
    again: u64,
}

impl Walk<'_> {
    fn push(&mut self, value: &RawValue, role: &str, text: Vec<u8>, opaque: bool) {
        let on = &self.selection.on;
        if on.is_empty() || on.iter().any(|chosen| chosen == role) {
            let start = slow::offset(value, self.row);
            self.found.push((role.to_owned(), opaque, text, start));
        }
    }

    fn opaque(&mut self, value: Option<&RawValue>, role: &str) {
        if let Some(value) = value {
            self.push(value, role, value.get().as_bytes().to_vec(), true);
        }
    }

    fn call(&mut self, call: &Object, role: &str) {
        self.content(get(call, "name"), role);
        self.content(get(call, "arguments"), role);
    }

    fn content(&mut self, value: Option<&RawValue>, role: &str) {
        let Some(value) = value else {
            return;
        };
        match kind(value) {
            Kind::Array(blocks) => blocks.into_iter().for_each(|block| self.block(block, role)),
            _ => self.block(value, role),
        }
    }

    fn block(&mut self, value: &RawValue, role: &str) {
        match kind(value) {
            Kind::Null => {}
            Kind::Text(text) => self.push(value, role, text, false),
            Kind::Object(members) => {
                let text_of = |name| {
                    let value = get(&members, name)?;
                    let Kind::Text(text) = kind(value) else {
                        return None;
                    };
                    Some((value, text))
                };
                let is_text = text_of("type").is_some_and(|(_, text)| text == b"text");
                match text_of("text").filter(|_| is_text) {
                    Some((value, text)) => self.push(value, role, text, false),
                    None => self.opaque(Some(value), role),
                }
            }
            Kind::Array(_) | Kind::Other => self.opaque(Some(value), role),
        }
    }

    fn every_string(&mut self, value: &RawValue) {
        match kind(value) {
            Kind::Text(text) => self.push(value, "text", text, false),
            Kind::Array(elements) => elements
                .into_iter()
                .for_each(|value| self.every_string(value)),
            Kind::Object(members) => {
                let numbered = members.iter().enumerate();
                let last: HashMap<_, _> = numbered.map(|(at, (key, _))| (key, at)).collect();
                self.again += (members.len() - last.len()) as u64;
                for (at, (key, value)) in members.iter().enumerate() {
                    if last[key] == at {
                        self.every_string(value);
                    }
                }
            }
            Kind::Null | Kind::Other => {}
        }
    }
}
