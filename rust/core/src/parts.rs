//! Where the text of a row lives, by format and role.
//!
//! [`Parts::read`] walks a validated object beside a [`Layout`] and lists the compared parts, in
//! the order of the layout's rules and of the row's arrays. No tree is built. Of equal keys in one
//! object the last counts.
//!
//! What a reader would get wrong: content that is no text (an image, a tool definition) is a part
//! too, an [opaque](Part::opaque) one. It takes part in every comparison, but only as equal or not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Problem;
use crate::format::{Layout, Node, RuleKind};
use crate::value::{Key, Value};

/// One compared part of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Who speaks: `user`, `assistant`, `text` …
    pub role: Cow<'a, str>,
    /// Not text: compared by its raw bytes.
    pub opaque: bool,
    /// The unescaped text (UTF-8, half surrogates as three bytes), or the raw JSON of an opaque
    /// part.
    pub text: Cow<'a, [u8]>,
    /// Where the part's JSON value stands in the row.
    pub span: Range<usize>,
}

/// What one row says, and what was odd about it.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    /// The compared parts, in order.
    pub list: Vec<Part<'a>>,
    /// Keys on a compared path that stood more than once in their object.
    pub duplicate_keys: u64,
}

/// The parts that are compared: which roles, beside the fields that were asked for by name.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Roles, or empty for all.
    pub on: Vec<String>,
}

impl Selection {
    pub(crate) fn holds(&self, role: &str) -> bool {
        self.on.is_empty() || self.on.iter().any(|chosen| chosen == role)
    }
}

impl<'a> Parts<'a> {
    /// List the parts of a row.
    ///
    /// # Errors
    /// The row is no object, or not of this layout.
    pub fn read(
        object: Value<'a>,
        layout: &'a Layout,
        selection: &Selection,
    ) -> Result<Self, Problem> {
        let mut list = Vec::new();
        let duplicate_keys = places(object, layout, selection, |place: Place<'a>| {
            let text = (!place.opaque).then(|| place.value.text()).flatten();
            let text = text.unwrap_or(Cow::Borrowed(place.value.raw()));
            list.push(Part {
                role: place.role.name(),
                opaque: place.opaque,
                text,
                span: place.value.span(),
            });
        })?;
        Ok(Self {
            list,
            duplicate_keys,
        })
    }
}

/// Where one part stands.
pub(crate) struct Place<'a> {
    pub value: Value<'a>,
    pub role: Role<'a>,
    pub opaque: bool,
}

/// Who speaks: a role of the layout, or the string in the row that names it.
#[derive(Clone, Copy)]
pub(crate) enum Role<'r> {
    Known(&'r Arc<str>),
    Named(Value<'r>, &'r Layout),
}

impl<'r> Role<'r> {
    /// Its name: not counted, as an [`Arc`] is, for all threads would count the same ones.
    pub(crate) fn name(self) -> Cow<'r, str> {
        match self {
            Role::Known(role) => Cow::Borrowed(role),
            Role::Named(word, layout) => {
                let word = match word.text().unwrap_or_default() {
                    Cow::Borrowed(word) => String::from_utf8_lossy(word),
                    Cow::Owned(word) => String::from_utf8_lossy(&word).into_owned().into(),
                };
                let known = layout.roles.get(&*word);
                known.map_or(word, |known| Cow::Borrowed(known))
            }
        }
    }
}

/// Is a row an object of this layout?
///
/// # Errors
/// As of [`Parts::read`].
pub(crate) fn check(object: Value, layout: &Layout, selection: &Selection) -> Result<(), Problem> {
    places(object, layout, selection, |_| ()).map(|_| ())
}

/// Tell where each part of a row stands, in order; returns how many keys on a compared path stood more
/// than once in their object. What was told of a row before it fails does not count.
///
/// # Errors
/// As of [`Parts::read`].
pub(crate) fn places<'a>(
    object: Value<'a>,
    layout: &'a Layout,
    selection: &Selection,
    found: impl FnMut(Place<'a>),
) -> Result<u64, Problem> {
    if !object.is_object() {
        return Err(Problem::NotAnObject);
    }
    for group in &layout.needs {
        let there = |(key, value): (Key, usize)| {
            !object.at(value).is_null() && group.iter().any(|needed| key.is(needed))
        };
        if !object.keys().any(there) {
            return Err(Problem::MissingField {
                field: group.join("` or `"),
            });
        }
    }
    let mut walk = Walk {
        layout,
        selection,
        found,
        duplicate_keys: 0,
    };
    if let Some(role) = &layout.everywhere
        && selection.holds(role)
    {
        walk.every_string(object, Role::Known(role));
    }
    walk.members(object, &layout.root, None, &Trail::Root)?;
    for (field, role) in &layout.also {
        let named = |(key, _): &(Key, usize)| key.is(field);
        if let Some((_, value)) = object.keys().filter(named).last() {
            walk.content(object.at(value), Role::Known(role));
        }
    }
    Ok(walk.duplicate_keys)
}

/// The way from the root to a place, for messages.
pub(crate) enum Trail<'t> {
    Root,
    Key(&'t Trail<'t>, &'t str),
    Index(&'t Trail<'t>, usize),
}

impl Trail<'_> {
    pub(crate) fn path(&self) -> String {
        match self {
            Trail::Root => String::new(),
            Trail::Key(Trail::Root, key) => (*key).to_owned(),
            Trail::Key(outer, key) => outer.path() + "." + key,
            Trail::Index(outer, index) => {
                let mut path = outer.path();
                write!(path, "[{index}]").expect("writing to a string succeeds");
                path
            }
        }
    }

    pub(crate) fn wrong(&self, expected: &'static str) -> Problem {
        Problem::WrongType {
            field: self.path(),
            expected,
        }
    }
}

/// Keys that one object may have in a layout without memory of their own.
const FEW: usize = 8;
/// Keys of one object that are compared two by two.
const SMALL: usize = 12;

struct Walk<'a, 's, F> {
    layout: &'a Layout,
    selection: &'s Selection,
    found: F,
    duplicate_keys: u64,
}

impl<'a, F: FnMut(Place<'a>)> Walk<'a, '_, F> {
    fn node(
        &mut self,
        value: Value<'a>,
        node: &'a Node,
        role: Option<Role<'a>>,
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
            Some((kind, Some(own))) => self.leaf(value, *kind, Role::Known(own), trail),
            Some((kind, None)) => {
                let role = role.expect("a leaf without a role stands in an object that names one");
                self.leaf(value, *kind, role, trail)
            }
            None if node.each.is_some() => Err(trail.wrong("an array")),
            None => Err(trail.wrong("an object")),
        }
    }

    fn members(
        &mut self,
        object: Value<'a>,
        node: &'a Node,
        role: Option<Role<'a>>,
        trail: &Trail,
    ) -> Result<(), Problem> {
        // Nodes of values; 0, where the object itself stands, is none.
        let (mut few, mut many) = ([0; FEW], Vec::new());
        let found = few.get_mut(..node.keys.len()).unwrap_or_else(|| {
            many.resize(node.keys.len(), 0);
            &mut many
        });
        let mut named = 0;
        for (key, value) in object.keys() {
            if let Some(at) = node.keys.iter().position(|(known, _)| key.is(known)) {
                self.duplicate_keys += u64::from(found[at] != 0);
                found[at] = value;
            }
            if node.role_key.as_ref().is_some_and(|known| key.is(known)) {
                self.duplicate_keys += u64::from(named != 0);
                named = value;
            }
        }
        let named = (named != 0).then(|| object.at(named));
        let own = match &node.role_key {
            Some(key) => Some(self.role(named, &Trail::Key(trail, key))?),
            None => None,
        };
        for ((key, child), value) in node.keys.iter().zip(found) {
            if *value != 0 {
                let (value, role) = (object.at(*value), own.or(role));
                self.node(value, child, role, &Trail::Key(trail, key))?;
            }
        }
        Ok(())
    }

    fn role(&self, named: Option<Value<'a>>, trail: &Trail) -> Result<Role<'a>, Problem> {
        let named = named.filter(|value| !value.is_null());
        let named = named.ok_or_else(|| Problem::MissingField {
            field: trail.path(),
        })?;
        if !named.is_string() {
            return Err(trail.wrong("a string"));
        }
        Ok(Role::Named(named, self.layout))
    }

    fn leaf(
        &mut self,
        value: Value<'a>,
        kind: RuleKind,
        role: Role<'a>,
        trail: &Trail,
    ) -> Result<(), Problem> {
        if kind == RuleKind::Text && !value.is_string() {
            return Err(trail.wrong("a string"));
        }
        if !self.selection.on.is_empty() && !self.selection.holds(&role.name()) {
            return Ok(());
        }
        match kind {
            RuleKind::Content => self.content(value, role),
            RuleKind::Opaque => self.opaque(value, role),
            RuleKind::Text => self.scalar(value, role),
        }
        Ok(())
    }

    /// A text, or a list of texts and of what is none.
    fn content(&mut self, value: Value<'a>, role: Role<'a>) {
        if value.is_array() {
            for block in value.elements() {
                self.block(block, role);
            }
        } else if value.is_object() {
            self.block(value, role);
        } else {
            self.scalar(value, role);
        }
    }

    /// One element of a multi-part content.
    fn block(&mut self, block: Value<'a>, role: Role<'a>) {
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
    fn scalar(&mut self, value: Value<'a>, role: Role<'a>) {
        if value.is_string() {
            let opaque = false;
            (self.found)(Place {
                value,
                role,
                opaque,
            });
        } else if !value.is_null() {
            self.opaque(value, role);
        }
    }

    fn opaque(&mut self, value: Value<'a>, role: Role<'a>) {
        let opaque = true;
        (self.found)(Place {
            value,
            role,
            opaque,
        });
    }

    fn every_string(&mut self, value: Value<'a>, role: Role<'a>) {
        if value.is_object() {
            if value.keys().nth(SMALL).is_some() {
                return self.large_object(value, role);
            }
            let mut later = value.keys();
            while let Some((key, member)) = later.next() {
                if later.clone().any(|(other, _)| other.equals(key)) {
                    self.duplicate_keys += 1;
                } else {
                    self.every_string(value.at(member), role);
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

    /// The same of an object with so many keys that they are not compared two by two.
    fn large_object(&mut self, object: Value<'a>, role: Role<'a>) {
        let members: Vec<_> = object.keys().map(|(key, at)| (key.text(), at)).collect();
        let last: HashMap<&[u8], usize> = members.iter().map(|(key, at)| (&**key, *at)).collect();
        self.duplicate_keys += (members.len() - last.len()) as u64;
        for (key, at) in &members {
            if last[&**key] == *at {
                self.every_string(object.at(*at), role);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Format, PartRule, RoleRule};
    use crate::json::validate;
    use crate::tape::Tape;

    fn chat() -> Layout {
        let at = |path: &str, kind| PartRule {
            path: path.into(),
            role: RoleRule::At("messages[*].role".into()),
            kind,
        };
        let tools = PartRule {
            path: "tools".into(),
            role: RoleRule::Fixed("system".into()),
            kind: RuleKind::Opaque,
        };
        Layout::new(&Format {
            name: "chat".into(),
            needs: vec![vec!["messages".into()]],
            parts: vec![
                tools,
                at("messages[*].content", RuleKind::Content),
                at("messages[*].tool_calls[*].function.name", RuleKind::Content),
            ],
            roles: HashMap::from([("human".to_owned(), "user".to_owned())]),
        })
        .expect("a good format")
    }

    fn read(row: &str) -> Result<Vec<(String, bool, String)>, String> {
        let mut tape = Tape::default();
        let value = validate(row.as_bytes(), &mut tape).expect("valid JSON");
        let layout = chat();
        let parts =
            Parts::read(value, &layout, &Selection::default()).map_err(|p| p.to_string())?;
        let show = |part: &Part| {
            (
                part.role.to_string(),
                part.opaque,
                String::from_utf8_lossy(&part.text).into_owned(),
            )
        };
        Ok(parts.list.iter().map(show).collect())
    }

    #[test]
    fn content_tool_calls_and_definitions_are_found() {
        let parts = read(
            r#"{"messages": [{"content": "h\u0069", "role": "human"},
                {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f"}}]},
                {"role": "user", "content": ["a", {"type": "text", "text": "b"}, {"type": "image", "text": "c"}]}],
                "tools": [{"x": 1}]}"#,
        );
        let expected = [
            ("system", true, r#"[{"x": 1}]"#),
            ("user", false, "hi"),
            ("assistant", false, "f"),
            ("user", false, "a"),
            ("user", false, "b"),
            ("user", true, r#"{"type": "image", "text": "c"}"#),
        ];
        let expected =
            expected.map(|(role, opaque, text)| (role.to_owned(), opaque, text.to_owned()));
        assert_eq!(parts, Ok(expected.to_vec()));
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let parts = read(
            r#"{"messages": 5, "messages": [{"role": "a", "role": "b", "content": "x", "content": "y"}]}"#,
        );
        assert_eq!(parts, Ok(vec![("b".into(), false, "y".into())]));
    }

    #[test]
    fn a_misfit_is_named() {
        let cases = [
            ("[]", "not a JSON object"),
            (r#"{"a": 1}"#, "no field `messages`"),
            (r#"{"messages": null}"#, "no field `messages`"),
            (r#"{"messages": "x"}"#, "field `messages` is not an array"),
            (
                r#"{"messages": ["x"]}"#,
                "field `messages[0]` is not an object",
            ),
            (
                r#"{"messages": [{"content": "x"}]}"#,
                "no field `messages[0].role`",
            ),
            (
                r#"{"messages": [{"role": 1, "content": "x"}]}"#,
                "field `messages[0].role` is not a string",
            ),
        ];
        for (row, message) in cases {
            assert_eq!(read(row), Err(message.to_owned()), "{row}");
        }
    }
}
