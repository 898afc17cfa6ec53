//! A slow and simple reader of rows, which [`crate::json`] and [`crate::parts`] must agree with: a
//! validator that looks at one byte after the other, and a walk that finds the end of every value anew.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use memchr::memchr2;

use crate::error::Problem;
use crate::format::{Layout, Node, RuleKind};
use crate::json::{MAX_DEPTH, is_space, skip_space};
use crate::parts::{Part, Parts, Selection, Trail};
use crate::value::{end_of_container, text_of};

pub(super) fn validate(bytes: &[u8]) -> Result<Value<'_>, Problem> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(Problem::InvalidUtf8 {
            at: error.valid_up_to(),
        });
    }
    let start = skip_space(bytes, 0);
    let mut scan = Scan { bytes, at: start };
    scan.value(0)?;
    let end = scan.at;
    let rest = skip_space(bytes, end);
    if rest < bytes.len() {
        return Err(Problem::InvalidJson {
            at: rest,
            expected: "the end of the row",
        });
    }
    Ok(Value(&bytes[start..end]))
}

pub(super) struct Scan<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, Problem> {
        Err(Problem::InvalidJson {
            at: self.at,
            expected,
        })
    }

    pub(super) fn value(&mut self, depth: usize) -> Result<(), Problem> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.container(depth, b'}', true),
            Some(b'[') => self.container(depth, b']', false),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.fail("a value"),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Problem> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.fail("`true`, `false` or `null`");
        }
        self.at += word.len();
        Ok(())
    }

    fn container(&mut self, depth: usize, close: u8, keyed: bool) -> Result<(), Problem> {
        if depth == MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        self.at = skip_space(self.bytes, self.at + 1);
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            if keyed {
                if self.peek() != Some(b'"') {
                    return self.fail("a key in quotes");
                }
                self.string()?;
                self.at = skip_space(self.bytes, self.at);
                if self.peek() != Some(b':') {
                    return self.fail("`:`");
                }
                self.at = skip_space(self.bytes, self.at + 1);
            }
            self.value(depth + 1)?;
            self.at = skip_space(self.bytes, self.at);
            match self.peek() {
                Some(b',') => self.at = skip_space(self.bytes, self.at + 1),
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail(if keyed { "`,` or `}`" } else { "`,` or `]`" }),
            }
        }
    }

    fn string(&mut self) -> Result<(), Problem> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                Some(_) => return self.fail("no bare control character in a string"),
                None => return self.fail("the end of the string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Problem> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.fail("four hexadecimal digits");
                    }
                }
                self.at += 1;
            }
            _ => return self.fail("one of `\"\\/bfnrtu` after a backslash"),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Problem> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fail("a digit"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), Problem> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.fail("a digit");
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }
}

/// A cursor that finds the end of every value anew.
#[derive(Clone, Copy)]
pub(super) struct Value<'a>(pub(super) &'a [u8]);

impl<'a> Value<'a> {
    fn is_object(self) -> bool {
        self.0[0] == b'{'
    }

    fn is_array(self) -> bool {
        self.0[0] == b'['
    }

    fn is_string(self) -> bool {
        self.0[0] == b'"'
    }

    fn is_null(self) -> bool {
        self.0[0] == b'n'
    }

    fn text(self) -> Option<Cow<'a, [u8]>> {
        self.is_string().then(|| text_of(self.0))
    }

    fn members(self) -> impl Iterator<Item = (Cow<'a, [u8]>, Value<'a>)> {
        let mut items = Items::new(self, b'{');
        std::iter::from_fn(move || {
            let key = items.next()?;
            Some((key.text().unwrap_or_default(), items.next()?))
        })
    }

    fn elements(self) -> impl Iterator<Item = Value<'a>> {
        Items::new(self, b'[')
    }
}

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

/// The parts of a row.
pub(super) fn read<'a>(
    row: &'a [u8],
    layout: &Layout,
    selection: &Selection,
) -> Result<Parts<'a>, Problem> {
    let object = validate(row)?;
    if !object.is_object() {
        return Err(Problem::NotAnObject);
    }
    let mut walk = Walk {
        row,
        layout,
        selection,
        parts: Parts::default(),
    };
    for group in &layout.needs {
        let there = |(key, value): (Cow<[u8]>, Value)| {
            !value.is_null() && group.iter().any(|needed| needed.as_bytes() == &*key)
        };
        if !object.members().any(there) {
            return Err(Problem::MissingField {
                field: group.join("` or `"),
            });
        }
    }
    if let Some(role) = &layout.everywhere
        && selection.holds(role)
    {
        walk.every_string(object, role);
    }
    walk.members(object, &layout.root, None, &Trail::Root)?;
    for (field, role) in &layout.also {
        let named = |(key, _): &(Cow<[u8]>, Value)| &**key == field.as_bytes();
        if let Some((_, value)) = object.members().filter(named).last() {
            walk.leaf(
                value,
                RuleKind::Content,
                role,
                &Trail::Key(&Trail::Root, field),
            )?;
        }
    }
    Ok(walk.parts)
}
struct Walk<'a, 'l> {
    row: &'a [u8],
    layout: &'l Layout,
    selection: &'l Selection,
    parts: Parts<'a>,
}

impl<'a> Walk<'a, '_> {
    fn node(
        &mut self,
        value: Value<'a>,
        node: &Node,
        role: Option<&Arc<str>>,
        trail: &Trail,
    ) -> Result<(), Problem> {
        if value.is_null() {
            return Ok(());
        }
        if value.is_array()
            && let Some(each) = &node.each
        {
            for (index, element) in value.elements().enumerate() {
                let trail = Trail::Index(trail, index);
                if !each.keys.is_empty() && !element.is_object() {
                    return Err(trail.wrong("an object"));
                }
                self.node(element, each, role, &trail)?;
            }
            return Ok(());
        }
        if value.is_object() && !node.keys.is_empty() {
            return self.members(value, node, role, trail);
        }
        match &node.leaf {
            Some((kind, own)) => {
                let role = own
                    .as_ref()
                    .or(role)
                    .expect("a leaf without a role stands in an object that names one");
                self.leaf(value, *kind, role, trail)
            }
            None if node.each.is_some() => Err(trail.wrong("an array")),
            None => Err(trail.wrong("an object")),
        }
    }

    fn members(
        &mut self,
        object: Value<'a>,
        node: &Node,
        role: Option<&Arc<str>>,
        trail: &Trail,
    ) -> Result<(), Problem> {
        let mut found: Vec<Option<Value>> = vec![None; node.keys.len()];
        let mut named: Option<Value> = None;
        for (key, value) in object.members() {
            if let Some(at) = node
                .keys
                .iter()
                .position(|(known, _)| known.as_bytes() == &*key)
            {
                self.parts.duplicate_keys += u64::from(found[at].replace(value).is_some());
            }
            if node
                .role_key
                .as_ref()
                .is_some_and(|known| known.as_bytes() == &*key)
            {
                self.parts.duplicate_keys += u64::from(named.replace(value).is_some());
            }
        }
        let own = match &node.role_key {
            Some(key) => Some(self.role(named, &Trail::Key(trail, key))?),
            None => None,
        };
        for ((key, child), value) in node.keys.iter().zip(found) {
            if let Some(value) = value {
                self.node(value, child, own.as_ref().or(role), &Trail::Key(trail, key))?;
            }
        }
        Ok(())
    }

    fn role(&self, named: Option<Value>, trail: &Trail) -> Result<Arc<str>, Problem> {
        let named = named.filter(|value| !value.is_null());
        let named = named.ok_or_else(|| Problem::MissingField {
            field: trail.path(),
        })?;
        let word = named.text().ok_or_else(|| trail.wrong("a string"))?;
        let word = String::from_utf8_lossy(&word);
        Ok(self
            .layout
            .roles
            .get(&*word)
            .cloned()
            .unwrap_or_else(|| word.into()))
    }

    fn leaf(
        &mut self,
        value: Value<'a>,
        kind: RuleKind,
        role: &Arc<str>,
        trail: &Trail,
    ) -> Result<(), Problem> {
        if kind == RuleKind::Text && !value.is_string() {
            return Err(trail.wrong("a string"));
        }
        // That of a field, and not one that a row names so.
        let is_asked_for = self
            .layout
            .also
            .iter()
            .any(|(_, also)| Arc::ptr_eq(also, role));
        if !is_asked_for && !self.selection.holds(role) {
            return Ok(());
        }
        match kind {
            RuleKind::Content if value.is_array() => {
                for block in value.elements() {
                    self.block(block, role);
                }
            }
            RuleKind::Content if value.is_object() => self.block(value, role),
            RuleKind::Opaque => self.opaque(value, role),
            RuleKind::Text | RuleKind::Content => self.scalar(value, role),
        }
        Ok(())
    }

    /// One element of a multi-part content.
    fn block(&mut self, block: Value<'a>, role: &Arc<str>) {
        let mut of_type = None;
        let mut said = None;
        for (key, value) in block.members() {
            match &*key {
                b"type" => of_type = value.text(),
                b"text" => said = Some(value).filter(|value| value.is_string()),
                _ => {}
            }
        }
        match said {
            Some(text) if of_type.as_deref() == Some(b"text") => self.scalar(text, role),
            _ => self.scalar(block, role),
        }
    }

    /// A string is text, null is nothing, anything else is opaque.
    fn scalar(&mut self, value: Value<'a>, role: &Arc<str>) {
        match value.text() {
            Some(text) => self.push(value, role, text, false),
            None if value.is_null() => {}
            None => self.opaque(value, role),
        }
    }

    fn opaque(&mut self, value: Value<'a>, role: &Arc<str>) {
        self.push(value, role, Cow::Borrowed(value.0), true);
    }

    fn push(&mut self, value: Value<'a>, role: &Arc<str>, text: Cow<'a, [u8]>, opaque: bool) {
        let start = value.0.as_ptr() as usize - self.row.as_ptr() as usize;
        let span = start..start + value.0.len();
        self.parts.list.push(Part {
            role: Cow::Owned(role.to_string()),
            opaque,
            text,
            span,
        });
    }

    fn every_string(&mut self, value: Value<'a>, role: &Arc<str>) {
        if value.is_object() {
            let members: Vec<_> = value.members().collect();
            let last: HashMap<&[u8], usize> = members
                .iter()
                .enumerate()
                .map(|(at, (key, _))| (&**key, at))
                .collect();
            self.parts.duplicate_keys += (members.len() - last.len()) as u64;
            for (at, (key, value)) in members.iter().enumerate() {
                if last[&**key] == at {
                    self.every_string(*value, role);
                }
            }
        } else if value.is_array() {
            value
                .elements()
                .for_each(|element| self.every_string(element, role));
        } else if value.is_string() {
            self.scalar(value, role);
        }
    }
}
