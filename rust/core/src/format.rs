//! Layouts as data: which keys tell one, and where text lives in it.
//!
//! A [`Format`] is what callers give: paths of keys and `[*]` with a role each. It compiles to a
//! tree of [`Node`]s that [`crate::parts`] walks beside the JSON, in the order of the rules, so
//! that the order of keys in a row does not matter.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The path of a rule that means: every string, wherever it stands.
const EVERYWHERE: &str = "**";

/// A layout, as given.
#[derive(Debug, Clone, Default)]
pub struct Format {
    /// What reports call it.
    pub name: String,
    /// Groups of top-level keys; one key of each group must be there and not be null.
    pub needs: Vec<Vec<String>>,
    /// Places of text, in the order in which they are compared.
    pub parts: Vec<PartRule>,
    /// Words for a role in the data, and the role that they mean.
    pub roles: HashMap<String, String>,
}

/// One place where text lives.
#[derive(Debug, Clone)]
pub struct PartRule {
    /// Keys and `[*]`, joined by dots.
    pub path: String,
    /// The role of the text there, or where to read it.
    pub role: RoleRule,
    /// What may stand there.
    pub kind: RuleKind,
}

/// Where a part's role comes from.
#[derive(Debug, Clone)]
pub enum RoleRule {
    /// The same for every row.
    Fixed(String),
    /// The string at this path, whose last key belongs to an object that encloses the part.
    At(String),
}

/// What may stand at the path of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    /// A string or null.
    Text,
    /// A string, or a list of content blocks; anything else is compared as it stands.
    Content,
    /// Any value; compared as it stands.
    Opaque,
}

/// A format, ready to be followed.
#[derive(Debug, Clone)]
pub struct Layout {
    pub(crate) name: String,
    pub(crate) needs: Vec<Vec<String>>,
    pub(crate) root: Node,
    pub(crate) roles: hashbrown::HashMap<String, Arc<str>>,
    /// Further top-level fields, and their roles. They stand beside the tree, since a field may be a
    /// place of the layout too, and is then compared in both ways.
    pub(crate) also: Vec<(String, Arc<str>)>,
    /// Set for the format that takes every string: its role.
    pub(crate) everywhere: Option<Arc<str>>,
}

/// What the layout knows about one place in the object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// A part may stand here. Without a role of its own it has that of the object around it.
    pub leaf: Option<(RuleKind, Option<Arc<str>>)>,
    /// The key of this object that names the role of what is below.
    pub role_key: Option<String>,
    pub keys: Vec<(String, Node)>,
    pub each: Option<Box<Node>>,
}

impl Layout {
    /// Compile a format.
    ///
    /// # Errors
    /// [`Error::Setting`] for a path that is not made of keys and `[*]`, or a role path that
    /// encloses nothing.
    pub fn new(format: &Format) -> Result<Self> {
        let mut layout = Self {
            name: format.name.clone(),
            needs: format.needs.clone(),
            root: Node::default(),
            roles: format
                .roles
                .iter()
                .map(|(word, role)| (word.clone(), role.as_str().into()))
                .collect(),
            also: Vec::new(),
            everywhere: None,
        };
        for rule in &format.parts {
            if rule.path == EVERYWHERE {
                let RoleRule::Fixed(role) = &rule.role else {
                    return Err(bad_path(format, &rule.path));
                };
                layout.everywhere = Some(role.as_str().into());
                continue;
            }
            let role = match &rule.role {
                RoleRule::Fixed(role) => Some(role.as_str().into()),
                RoleRule::At(path) => {
                    let (object, key) = path
                        .rsplit_once('.')
                        .ok_or_else(|| bad_path(format, path))?;
                    if !rule.path.starts_with(&format!("{object}.")) {
                        return Err(bad_path(format, path));
                    }
                    layout
                        .root
                        .place(object)
                        .ok_or_else(|| bad_path(format, path))?
                        .role_key = Some(key.to_owned());
                    None
                }
            };
            layout
                .root
                .place(&rule.path)
                .ok_or_else(|| bad_path(format, &rule.path))?
                .leaf = Some((rule.kind, role));
        }
        Ok(layout)
    }

    /// The same layout, which also compares top-level fields, each under the role `also:FIELD`.
    pub(crate) fn with_fields(mut self, fields: &[String]) -> Self {
        let role = |field: &String| (field.clone(), format!("also:{field}").into());
        self.also = fields.iter().map(role).collect();
        self
    }
}

impl Node {
    /// The node at a path below this one, made where it is missing; None if the path is malformed.
    fn place(&mut self, path: &str) -> Option<&mut Node> {
        let mut node = self;
        for step in path.split('.') {
            let key = step.trim_end_matches("[*]");
            if key.is_empty() || key.contains(['[', ']', '*']) {
                return None;
            }
            node = node.child(key);
            for _ in 0..(step.len() - key.len()) / "[*]".len() {
                node = node.each.get_or_insert_default();
            }
        }
        Some(node)
    }

    fn child(&mut self, key: &str) -> &mut Node {
        let at = self
            .keys
            .iter()
            .position(|(known, _)| known == key)
            .unwrap_or_else(|| {
                self.keys.push((key.to_owned(), Node::default()));
                self.keys.len() - 1
            });
        &mut self.keys[at].1
    }
}

fn bad_path(format: &Format, path: &str) -> Error {
    Error::Setting(format!(
        "format `{}`: cannot follow the path `{path}`",
        format.name
    ))
}
