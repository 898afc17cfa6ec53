//! Records: the texts of some rows, and the rows again with some of them said otherwise.
//!
//! A [`Block`] holds a copy of its rows, and where their texts stand. A rewritten text is spliced: its
//! escaped string takes the place of the old one, and no other byte of the row changes. Content that
//! is no text is not among the texts; it stands in the row.
//!
//! What a reader would get wrong: a row with half of a surrogate pair in a text is never rewritten,
//! not even elsewhere, since what reads it and writes it again may lose that half.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::corpus::Corpus;
use crate::error::{Problem, Result};
use crate::format::Layout;
use crate::json::{quoted, validate};
use crate::parts::{self, Selection};
use crate::shingles::Roles;
use crate::stats::Statistics;
use crate::tape::Tape;
use crate::value::{Value, has_lone_surrogate, text_of};

/// Some rows of a dataset, and where their texts stand.
#[derive(Debug, Default)]
pub struct Block {
    /// The rows, one after the other.
    bytes: Vec<u8>,
    /// Where each begins in `bytes` and in `texts`; one more than there are rows.
    rows: Vec<(usize, usize)>,
    texts: Vec<Place>,
    /// Rows that are not of their layout, by place in the block, and why. They have no texts.
    pub problems: Vec<(usize, Problem)>,
    /// Names of roles, one for all texts that have it.
    roles: Roles,
}

/// Where a text stands.
#[derive(Debug)]
struct Place {
    role: Arc<str>,
    /// Its JSON string, in the block's bytes.
    span: Range<usize>,
}

impl Corpus {
    /// Rows of the inputs, in any order.
    ///
    /// # Errors
    /// An input changed since it was opened.
    ///
    /// # Panics
    /// There is no such row.
    pub fn block(&self, rows: &[usize]) -> Result<Block> {
        let mut block = Block::new();
        let mut shards = BTreeSet::new();
        let mut tape = Tape::default();
        for &row in rows {
            let shard = self.rows.shard_index(row);
            let layout = &self.layouts[shard];
            if shards.insert(shard) {
                self.rows.shards[shard].source.check()?;
            }
            match self.check_length(row) {
                Ok(()) => block.add(&self.rows.one_line(row), layout, &mut tape),
                Err(problem) => block.fail(problem),
            }
        }
        for shard in shards {
            self.rows.shards[shard].source.check()?;
        }
        Ok(block)
    }
}

impl Block {
    pub(crate) fn new() -> Self {
        Self {
            rows: vec![(0, 0)],
            ..Self::default()
        }
    }

    /// Rows from elsewhere, all of one layout.
    #[must_use]
    pub fn of<'r>(rows: impl IntoIterator<Item = &'r [u8]>, layout: &Layout) -> Self {
        let mut block = Self::new();
        let mut tape = Tape::default();
        for row in rows {
            block.add(row, layout, &mut tape);
        }
        block
    }

    pub(crate) fn add(&mut self, row: &[u8], layout: &Layout, tape: &mut Tape) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row);
        let copy = &self.bytes[start..];
        let known = self.texts.len();
        let all = validate(copy, tape).and_then(|object| {
            parts::places(object, layout, &Selection::default(), |part| {
                if !part.opaque {
                    let span = part.value.span();
                    self.texts.push(Place {
                        role: self.roles.share(&part.role.name()),
                        span: start + span.start..start + span.end,
                    });
                }
            })
        });
        match all {
            Ok(_) => self.rows.push((self.bytes.len(), self.texts.len())),
            Err(problem) => {
                self.texts.truncate(known);
                self.fail(problem);
            }
        }
    }

    fn fail(&mut self, problem: Problem) {
        self.problems.push((self.len(), problem));
        self.rows.push((self.bytes.len(), self.texts.len()));
    }

    /// Some of the rows, in the order given, as a block of their own.
    ///
    /// # Panics
    /// There is no such row in the block.
    #[must_use]
    pub fn take(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        let mut block = Self::new();
        for at in rows {
            let (from, shift) = (self.rows[at].0, block.bytes.len());
            block.bytes.extend_from_slice(self.row(at));
            block.texts.extend(self.texts_of(at).map(|text| {
                let Place { role, span } = &self.texts[text];
                Place {
                    role: Arc::clone(role),
                    span: span.start - from + shift..span.end - from + shift,
                }
            }));
            let known = self.problems.binary_search_by_key(&at, |&(bad, _)| bad);
            if let Ok(known) = known {
                block
                    .problems
                    .push((block.len(), self.problems[known].1.clone()));
            }
            block.rows.push((block.bytes.len(), block.texts.len()));
        }
        block
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() - 1
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row, as it stands in its file but on one line.
    ///
    /// # Panics
    /// There is no such row in the block.
    #[must_use]
    pub fn row(&self, at: usize) -> &[u8] {
        &self.bytes[self.rows[at].0..self.rows[at + 1].0]
    }

    /// The texts of a row, by their places among all of the block.
    #[must_use]
    pub fn texts_of(&self, at: usize) -> Range<usize> {
        self.rows[at].1..self.rows[at + 1].1
    }

    /// Texts in all rows.
    #[must_use]
    pub fn texts(&self) -> usize {
        self.texts.len()
    }

    /// Who says a text.
    #[must_use]
    pub fn role(&self, text: usize) -> &Arc<str> {
        &self.texts[text].role
    }

    /// A text, unescaped (UTF-8, half surrogates as three bytes).
    ///
    /// # Panics
    /// There is no such text in the block.
    #[must_use]
    pub fn text(&self, text: usize) -> Cow<'_, [u8]> {
        text_of(&self.bytes[self.texts[text].span.clone()])
    }

    /// What a row says, or one role in it, with a blank line between two texts.
    ///
    /// # Panics
    /// There is no such row in the block.
    #[must_use]
    pub fn said(&self, at: usize, role: Option<&str>) -> Vec<u8> {
        let is_asked = |&text: &usize| role.is_none_or(|role| **self.role(text) == *role);
        let texts = self.texts_of(at).filter(is_asked);
        let texts: Vec<_> = texts.map(|text| self.text(text)).collect();
        texts.join(&b"\n\n"[..])
    }

    /// For each row the sums over its texts.
    #[must_use]
    pub fn statistics(&self) -> Vec<Statistics> {
        let of_text = |text: usize| Statistics::of(&self.text(text));
        let of_row = |at: usize| {
            let texts = self.texts_of(at).map(of_text);
            texts.fold(Statistics::default(), Statistics::and)
        };
        (0..self.len()).map(of_row).collect()
    }

    /// The way to each text of a row from its root: keys and indexes, as in `messages[0].content`.
    ///
    /// # Panics
    /// There is no such row in the block.
    #[must_use]
    pub fn paths(&self, at: usize) -> Vec<String> {
        let row = self.row(at);
        let texts = self.texts_of(at);
        let mut paths = vec![String::new(); texts.len()];
        let mut tape = Tape::default();
        let Ok(object) = validate(row, &mut tape) else {
            return paths; // it has no texts
        };
        let start = |text: usize| self.texts[text].span.start - self.rows[at].0;
        let wanted = texts.clone().map(|text| (start(text), text - texts.start));
        let wanted: HashMap<usize, usize> = wanted.collect();
        walk(object, &mut String::new(), &mut |string, path| {
            if let Some(&text) = wanted.get(&string.span().start) {
                path.clone_into(&mut paths[text]);
            }
        });
        paths
    }

    /// Does a text of a row hold half of a surrogate pair? Then the row never changes.
    ///
    /// # Panics
    /// There is no such row in the block.
    #[must_use]
    pub fn is_fixed(&self, at: usize) -> bool {
        let mut texts = self.texts_of(at);
        texts.any(|text| has_lone_surrogate(&self.text(text)))
    }

    /// A row with some of its texts said otherwise: one new text, or none, for each text that it has.
    /// None if nothing changes, or nothing may.
    #[must_use]
    pub fn rewritten(&self, at: usize, texts: &[Option<&str>]) -> Option<Vec<u8>> {
        let (mut row, mut spans) = (Vec::new(), Vec::new());
        self.splice(at, texts, &mut row, &mut spans).then_some(row)
    }

    /// All rows with some of their texts said otherwise, and whether each row changed. One new text,
    /// or none, is given for each text of the block.
    #[must_use]
    pub fn respelled(&self, texts: &[Option<&str>]) -> (Self, Vec<bool>) {
        let mut block = Self::new();
        block.problems.clone_from(&self.problems);
        let splice = |at: usize| {
            let places = self.texts_of(at);
            let mut spans = Vec::new();
            let is_new = self.splice(at, &texts[places.clone()], &mut block.bytes, &mut spans);
            block
                .texts
                .extend(places.zip(spans).map(|(text, span)| Place {
                    role: Arc::clone(self.role(text)),
                    span,
                }));
            block.rows.push((block.bytes.len(), block.texts.len()));
            is_new
        };
        let changed = (0..self.len()).map(splice).collect();
        (block, changed)
    }

    /// Append a row with some of its texts said otherwise to `row`, and to `spans` where its texts
    /// then stand. Says whether it changed.
    fn splice(
        &self,
        at: usize,
        texts: &[Option<&str>],
        row: &mut Vec<u8>,
        spans: &mut Vec<Range<usize>>,
    ) -> bool {
        let places = self.texts_of(at);
        debug_assert_eq!(places.len(), texts.len());
        let is_fixed = self.is_fixed(at);
        // Texts come in the order of the layout, which may not be that of the row.
        let mut order: Vec<usize> = places.clone().collect();
        order.sort_unstable_by_key(|&place| self.texts[place].span.start);
        let begin = spans.len();
        spans.resize(begin + places.len(), 0..0);
        let (mut done, mut is_new) = (self.rows[at].0, false);
        for place in order {
            let span = &self.texts[place].span;
            let text = texts[place - places.start];
            let text = text.filter(|text| !is_fixed && *self.text(place) != *text.as_bytes());
            row.extend_from_slice(&self.bytes[done..span.start]);
            let start = row.len();
            match text {
                Some(text) => row.extend_from_slice(quoted(text).as_bytes()),
                None => row.extend_from_slice(&self.bytes[span.clone()]),
            }
            spans[begin + place - places.start] = start..row.len();
            is_new |= text.is_some();
            done = span.end;
        }
        row.extend_from_slice(&self.bytes[done..self.rows[at + 1].0]);
        is_new
    }
}

/// Tell of every string in a value, and of the way to it.
fn walk(value: Value, path: &mut String, found: &mut impl FnMut(Value, &str)) {
    let outer = path.len();
    if value.is_string() {
        found(value, path);
    } else if value.is_object() {
        for (key, inner) in value.members() {
            let dot = if outer == 0 { "" } else { "." };
            write!(path, "{dot}{}", String::from_utf8_lossy(&key)).expect("memory takes it");
            walk(inner, path, found);
            path.truncate(outer);
        }
    } else {
        for (index, inner) in value.elements().enumerate() {
            write!(path, "[{index}]").expect("memory takes it");
            walk(inner, path, found);
            path.truncate(outer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Format, PartRule, RoleRule, RuleKind};

    fn layout(parts: &[(&str, &str)]) -> Layout {
        let rule = |&(path, role): &(&str, &str)| PartRule {
            path: path.into(),
            role: RoleRule::Fixed(role.into()),
            kind: RuleKind::Content,
        };
        let parts = parts.iter().map(rule).collect();
        let format = Format {
            parts,
            ..Format::default()
        };
        Layout::new(&format).expect("a good format")
    }

    fn alpaca(rows: &[&str]) -> Block {
        let rows = rows.iter().map(|row| row.as_bytes());
        Block::of(rows, &layout(&[("q", "user"), ("a[*]", "assistant")]))
    }

    #[test]
    fn only_the_text_changes() {
        let row = r#" {"n": 1.0 ,"n":123456789012345678901234567890,"a":["\u00e4", {"x" :2}],
            "q"  :"old","z":{"q":"old"} } "#;
        let block = alpaca(&[row]);
        let said: Vec<_> = block.texts_of(0).map(|text| block.text(text)).collect();
        assert_eq!(said, [&b"old"[..], "ä".as_bytes()]);
        let new = block.rewritten(0, &[Some("a \"b\"\n\u{1}"), Some("ö")]);
        let expected = row
            .replacen("\"old\"", r#""a \"b\"\n\u0001""#, 1)
            .replace(r"\u00e4", "ö");
        assert_eq!(new.as_deref(), Some(expected.as_bytes()));
    }

    #[test]
    fn what_says_the_same_stays_as_it_is() {
        let block = alpaca(&[r#"{"q":"\u0041"}"#]);
        assert_eq!(block.rewritten(0, &[Some("A")]), None);
        assert_eq!(block.rewritten(0, &[None]), None);
    }

    #[test]
    fn a_row_with_half_a_surrogate_pair_is_never_rewritten() {
        let block = alpaca(&[r#"{"q":"old", "a": ["\ud800"]}"#]);
        assert_eq!(block.rewritten(0, &[Some("new"), None]), None);
    }

    #[test]
    fn texts_have_paths_and_bad_rows_have_none() {
        let block = alpaca(&[
            "[]",
            r#"{"b":{"q":"x"},"a":["x",[],"x"],"q":"x","q":"x"}"#,
            "{",
        ]);
        assert_eq!(block.len(), 3);
        let at: Vec<usize> = block.problems.iter().map(|&(at, _)| at).collect();
        assert_eq!(at, [0, 2]);
        assert_eq!(block.paths(1), ["q", "a[0]", "a[2]"]);
    }
}
