//! Where the values of one row stand: what the validator finds, written down while it looks.
//!
//! A [`Tape`] lists every value and every key in the order in which they begin. Each [`Node`] knows how
//! many nodes it takes with all that stands in it, so a reader steps over a value without looking at
//! its bytes.

/// One value, or one key of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// Offset of its first byte in the row.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
    /// Nodes that it takes, itself among them.
    pub nodes: usize,
    /// Of a string.
    pub escapes: Escapes,
}

/// What is escaped in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// It has no backslash.
    None,
    /// What JSON asks for, as briefly as it can be: no other string of this kind has the same text.
    Short,
    /// Also what could stand as it is, and codes.
    Any,
}

/// The nodes of one row. Used again for the next one, so that rows need no memory of their own.
#[derive(Debug, Default)]
pub struct Tape(Vec<Node>);

/// Nodes for which memory is kept from row to row: at least, and at most.
const KEPT: [usize; 2] = [1 << 6, 1 << 16];

impl Tape {
    /// Forget the last row.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
        self.0.reserve(KEPT[0]);
        self.0.shrink_to(KEPT[1]);
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.0
    }
}

/// What is told of the values that a validator meets.
pub(crate) trait Record {
    /// A container begins; what is returned closes it.
    fn open(&mut self, start: usize) -> usize;
    /// A container ends.
    fn close(&mut self, opened: usize, end: usize);
    /// A value that is no container, or a key.
    fn leaf(&mut self, start: usize, end: usize, escapes: Escapes);
}

impl Record for &mut Tape {
    fn open(&mut self, start: usize) -> usize {
        self.leaf(start, start, Escapes::None);
        self.0.len() - 1
    }

    fn close(&mut self, opened: usize, end: usize) {
        let nodes = self.0.len() - opened;
        let node = &mut self.0[opened];
        (node.end, node.nodes) = (end, nodes);
    }

    #[inline]
    fn leaf(&mut self, start: usize, end: usize, escapes: Escapes) {
        self.0.push(Node {
            start,
            end,
            nodes: 1,
            escapes,
        });
    }
}

/// Nothing is written down.
pub(crate) struct Unrecorded;

impl Record for Unrecorded {
    fn open(&mut self, _: usize) -> usize {
        0
    }

    fn close(&mut self, _: usize, _: usize) {}

    fn leaf(&mut self, _: usize, _: usize, _: Escapes) {}
}
