//! Arguments, from Python's words to the core's types.

use std::collections::HashMap;

use curatekit_core as core;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// One of a few words, each of which means a value of `T`.
pub struct Words<T>(pub T);

/// Spool the inputs instead of mapping them?
#[derive(Clone, Copy)]
pub struct Copy(pub bool);

pub trait Choice: Sized + Clone + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

impl Choice for core::Method {
    const WORDS: &'static [(&'static str, Self)] = &[("exact", Self::Exact), ("near", Self::Near)];
}

impl Choice for core::Alike {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("consensus", Self::Consensus),
        ("each-role", Self::EachRole),
        ("whole", Self::Whole),
    ];
}

impl Choice for core::Numbers {
    const WORDS: &'static [(&'static str, Self)] =
        &[("distinct", Self::Distinct), ("alike", Self::Alike)];
}

impl Choice for core::Recall {
    const WORDS: &'static [(&'static str, Self)] =
        &[("bands", Self::Bands), ("exact", Self::Exact)];
}

impl Choice for bool {
    const WORDS: &'static [(&'static str, Self)] = &[("quarantine", false), ("stop", true)];
}

impl Choice for Copy {
    const WORDS: &'static [(&'static str, Self)] = &[("map", Self(false)), ("read", Self(true))];
}

impl Choice for core::Framing {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("lines", Self::Lines),
        ("array", Self::Array),
        ("object", Self::Object),
    ];
}

impl Choice for core::RuleKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("text", Self::Text),
        ("content", Self::Content),
        ("opaque", Self::Opaque),
    ];
}

/// The order in which rows are walked: a word, and for one of them a field.
pub struct Keep(pub core::Priority);

impl FromPyObject<'_, '_> for Keep {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let word: String = object.extract()?;
        let priority = match (&*word, word.strip_prefix("best:")) {
            ("first", _) => core::Priority::Order,
            ("longest", _) => core::Priority::Longest,
            (_, Some(field)) => core::Priority::Best(field.to_owned()),
            _ => {
                let message = format!("`{word}` is none of `first`, `longest`, `best:FIELD`");
                return Err(PyValueError::new_err(message));
            }
        };
        Ok(Self(priority))
    }
}

impl<T: Choice> FromPyObject<'_, '_> for Words<T> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let word: String = object.extract()?;
        let known = T::WORDS.iter().find(|(known, _)| *known == word);
        known.map(|(_, value)| Self(value.clone())).ok_or_else(|| {
            let words: Vec<&str> = T::WORDS.iter().map(|(known, _)| *known).collect();
            PyValueError::new_err(format!("`{word}` is none of `{}`", words.join("`, `")))
        })
    }
}

#[derive(FromPyObject)]
pub struct PartRuleArgument {
    path: String,
    role: String,
    role_path: String,
    kind: Words<core::RuleKind>,
}

#[derive(FromPyObject)]
pub struct FormatArgument {
    name: String,
    needs: Vec<Vec<String>>,
    parts: Vec<PartRuleArgument>,
    roles: HashMap<String, String>,
}

impl From<FormatArgument> for core::Format {
    fn from(format: FormatArgument) -> Self {
        let rule = |part: PartRuleArgument| core::PartRule {
            path: part.path,
            role: if part.role_path.is_empty() {
                core::RoleRule::Fixed(part.role)
            } else {
                core::RoleRule::At(part.role_path)
            },
            kind: part.kind.0,
        };
        Self {
            name: format.name,
            needs: format.needs,
            parts: format.parts.into_iter().map(rule).collect(),
            roles: format.roles,
        }
    }
}
