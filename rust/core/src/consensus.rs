//! The consensus of a family: what its texts have in common, and where each goes its own way.
//!
//! A family is the texts of one role that hang together; see [`crate::families`]. Where two of them
//! differ, the rest of the family is asked how it goes on after the tokens before the difference. If
//! nearly all go on as one of the two does, the other one left the consensus: an *edit*. If not, the
//! place is a *slot*, which every text fills in its own way, and the difference is content.
//!
//! What a reader would get wrong: texts are counted, not places. A text that has the same context
//! twice counts once in all, and once for each way in which it goes on.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;

use crate::hunks::{Hunk, common_start, hunks};
use crate::ngrams::ngrams;
use crate::shingles::Group;
use crate::tokens::is_number;
use crate::verify::Overlap;

/// Before a text and after it. No token's hash but by a chance of 1 in 2⁶³.
const START: u64 = 0xA5A5_5A5A_C3C3_3C3C;
const END: u64 = 0x5A5A_A5A5_3C3C_C3C2;

/// Tokens of the longest context.
const ORDER: usize = 3;

/// Texts whose rests are remembered.
const RESTS: usize = 1 << 16;

/// What is known of a family from its members.
pub(crate) struct Consensus {
    /// Tokens of a shingle.
    ngram: usize,
    /// Members looked at.
    size: usize,
    /// Members that have to agree before their habits are known.
    enough: usize,
    /// The members one after the other, each between `ORDER` starts and one end.
    tokens: Vec<u64>,
    /// Where each member begins in `tokens`.
    starts: Vec<u32>,
    /// Every place in `tokens` but those of starts, sorted by the token before it.
    places: Vec<(u64, u32)>,
    /// Shingles that more than half of the members or enough of them have, sorted, and how many do.
    shared: Vec<(u64, u32)>,
    /// Of contexts that were asked for: how many members have it, and the tokens with which nearly
    /// all of them go on.
    known: RwLock<HashMap<Context, (usize, Vec<u64>)>>,
    /// Of texts that were asked for, by hash: their shingles that too few others have.
    rests: RwLock<HashMap<u64, Arc<[u64]>>>,
}

/// Up to `ORDER` tokens, the last one first; 0 beyond its order.
type Context = [u64; ORDER];

/// What stands at a place of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// What nearly all have there.
    Template,
    /// Something else.
    Edit,
    /// There is nothing that nearly all have there.
    Slot,
}

/// Why two texts of one role are no duplicates, though they are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// They hold different numbers.
    Numbers,
    /// A slot is filled differently.
    Content,
}

impl Consensus {
    /// Of the members of a family, which are at least three.
    pub(crate) fn new<'g>(members: impl Iterator<Item = &'g Group>, ngram: usize) -> Self {
        let (mut tokens, mut starts, mut shingles) = (Vec::new(), Vec::new(), Vec::new());
        for group in members {
            starts.push(tokens.len() as u32);
            tokens.extend([START; ORDER]);
            tokens.extend_from_slice(&group.tokens);
            tokens.push(END);
            shingles.extend_from_slice(&group.shingles);
            shingles.extend(borders(group, ngram));
        }
        let size = starts.len();
        let enough = 3.max((size / 2).min(10));
        shingles.sort_unstable();
        let shared = shingles
            .chunk_by(|left, right| left == right)
            .filter(|same| same.len() >= enough || same.len() * 2 > size)
            .map(|same| (same[0], same.len() as u32))
            .collect();
        let mut places = Vec::with_capacity(tokens.len() - ORDER * size);
        for (at, token) in tokens.windows(2).enumerate() {
            if token[1] != START {
                places.push((token[0], at as u32 + 1));
            }
        }
        places.sort_unstable();
        Self {
            ngram,
            size,
            enough,
            tokens,
            starts,
            places,
            shared,
            known: RwLock::default(),
            rests: RwLock::default(),
        }
    }

    /// Private memory, but for what was asked.
    pub(crate) fn bytes(&self) -> usize {
        self.tokens.len() * 24 + self.shared.len() * 16 + 512
    }

    /// Have more than half of the members this shingle?
    pub(crate) fn is_common(&self, shingle: u64) -> bool {
        let found = self
            .shared
            .binary_search_by_key(&shingle, |&(known, _)| known);
        found.is_ok_and(|at| self.shared[at].1 as usize * 2 > self.size)
    }

    /// Is a hunk content, and not an edit? `left` and `right` are tokens of two members.
    fn is_content(&self, left: &[u64], right: &[u64], hunk: &Hunk) -> bool {
        let mine = left.get(hunk.left.start).unwrap_or(&END);
        let yours = right.get(hunk.right.start).unwrap_or(&END);
        let nearly_all = self.goes_on(left, hunk.left.start);
        !nearly_all.contains(mine) && !nearly_all.contains(yours)
    }

    /// What a token of a text is to the others, after what stands before it.
    pub(crate) fn place(&self, tokens: &[u64], at: usize) -> Place {
        let nearly_all = self.goes_on(tokens, at);
        if nearly_all.is_empty() {
            Place::Slot
        } else if nearly_all.contains(&tokens[at]) {
            Place::Template
        } else {
            Place::Edit
        }
    }

    /// The tokens with which nearly all members go on after what stands before a place: after the
    /// longest context that enough of them have. None in a slot, or where no context is known.
    fn goes_on(&self, tokens: &[u64], at: usize) -> Vec<u64> {
        let mut context = [0; ORDER];
        for (back, token) in context.iter_mut().enumerate() {
            *token = at.checked_sub(back + 1).map_or(START, |at| tokens[at]);
        }
        for order in (1..=ORDER).rev() {
            context[order..].fill(0);
            let (total, nearly_all) = self.after(context, order);
            if total >= self.enough {
                return nearly_all;
            }
        }
        Vec::new()
    }

    /// How many members have a context, and the tokens with which nearly all of them go on.
    fn after(&self, context: Context, order: usize) -> (usize, Vec<u64>) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known.get(&context) {
            return answer.clone();
        }
        drop(known);
        let answer = self.count_after(&context[..order]);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(context, answer.clone());
        answer
    }

    fn count_after(&self, context: &[u64]) -> (usize, Vec<u64>) {
        let first = self
            .places
            .partition_point(|&(token, _)| token < context[0]);
        let of_token = self.places[first..]
            .iter()
            .take_while(|(token, _)| *token == context[0]);
        let mut goes_on: Vec<(u64, u32)> = Vec::new();
        for &(_, at) in of_token {
            let at = at as usize;
            if (1..context.len()).all(|back| self.tokens[at - 1 - back] == context[back]) {
                let member = self.starts.partition_point(|&start| start as usize <= at);
                goes_on.push((self.tokens[at], member as u32));
            }
        }
        let mut members: Vec<u32> = goes_on.iter().map(|&(_, member)| member).collect();
        members.dedup(); // places are in the order of members
        let total = members.len();
        let places = goes_on.len();
        goes_on.sort_unstable();
        let is_few = |count: usize| count <= 1 || 5 * count < total; // one, or less than a fifth
        let (mut nearly_all, mut told) = (Vec::new(), 0);
        for way in goes_on.chunk_by(|(left, _), (right, _)| left == right) {
            let members = way.chunk_by(|(_, left), (_, right)| left == right).count();
            if is_few(total - members) {
                nearly_all.push(way[0].0);
                told += way.len();
            }
        }
        // Where texts have the context again and again, as examples in a prompt do, some of its
        // places may be a slot.
        if !is_few(places - told) {
            nearly_all.clear();
        }
        (total, nearly_all)
    }

    /// Are two texts alike without what they share with enough others? What only one of the two has
    /// counts all the same, be it the word of a slot that many others fill alike.
    fn is_rest_alike(&self, row: &Group, earlier: &Group, threshold_millis: u32) -> bool {
        let rest = Overlap::of(&self.rest(row), &self.rest(earlier));
        if !rest.reaches(threshold_millis) {
            return false;
        }
        let inside = Overlap::of(&row.shingles, &earlier.shingles);
        let around = Overlap::of(&borders(row, self.ngram), &borders(earlier, self.ngram));
        let different = inside.united - inside.shared + around.united - around.shared;
        let united = rest.shared + different;
        Overlap { united, ..rest }.reaches(threshold_millis)
    }

    /// The shingles of a text that fewer than enough members have.
    fn rest(&self, group: &Group) -> Arc<[u64]> {
        let rests = self.rests.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(rest) = rests.get(&group.text) {
            return Arc::clone(rest);
        }
        drop(rests);
        let mut shared = self.shared.iter().copied().peekable();
        let mut is_rest = |shingle: &u64| {
            while shared.next_if(|(other, _)| other < shingle).is_some() {}
            let known = shared.peek().filter(|(other, _)| other == shingle);
            known.is_none_or(|&(_, count)| (count as usize) < self.enough)
        };
        let mut all = group.shingles.clone();
        all.extend(borders(group, self.ngram));
        all.sort_unstable();
        all.retain(|shingle| is_rest(shingle));
        let rest: Arc<[u64]> = all.into();
        let mut rests = self.rests.write().unwrap_or_else(PoisonError::into_inner);
        if rests.len() >= RESTS {
            rests.clear();
        }
        rests.insert(group.text, Arc::clone(&rest));
        rest
    }
}

/// The shingles that reach over the borders of a text, so that its first and last tokens stand in as
/// many as others do; sorted, each once, and none of them inside of any text.
fn borders(group: &Group, ngram: usize) -> Vec<u64> {
    let (tokens, edge) = (&group.tokens[..], ngram - 1);
    if edge == 0 {
        return Vec::new();
    }
    let (starts, ends) = (vec![START; edge], vec![END; edge]);
    let grams =
        |tokens: &[&[u64]]| -> Vec<u64> { ngrams(&tokens.concat(), ngram, group.salt).collect() };
    let mut borders = if tokens.len() < edge {
        grams(&[&starts, tokens, &ends])
    } else {
        let first = grams(&[&starts, &tokens[..edge]]);
        let last = grams(&[&tokens[tokens.len() - edge..], &ends]);
        [first, last].concat()
    };
    borders.sort_unstable();
    borders
}

/// The difference that keeps two alike texts of one role apart, if any; and how many of their hunks
/// were found to be edits.
pub(crate) fn difference(
    row: &Group,
    earlier: &Group,
    consensus: Option<&Consensus>,
    numbers_matter: bool,
    threshold_millis: u32,
) -> (Option<Difference>, u32) {
    let (left, right) = (&row.tokens, &earlier.tokens);
    // Only where the rest is not alike does it matter what a hunk is.
    let asked =
        consensus.filter(|consensus| !consensus.is_rest_alike(row, earlier, threshold_millis));
    if let Some(consensus) = asked {
        let start = common_start(left, right);
        let first = Hunk {
            left: start..start,
            right: start..start,
        };
        if consensus.is_content(left, right, &first) {
            return (Some(Difference::Content), 0);
        }
    }
    let has_numbers = |tokens: &[u64]| tokens.iter().copied().any(is_number);
    let numbers_matter = numbers_matter && (has_numbers(left) || has_numbers(right));
    if asked.is_none() && !numbers_matter {
        return (None, 0);
    }
    let hunks = hunks(left, right);
    if numbers_matter
        && hunks
            .iter()
            .any(|hunk| differ_in_numbers(left, right, hunk))
    {
        return (Some(Difference::Numbers), 0);
    }
    let mut edits = 0;
    for hunk in hunks {
        if asked.is_some_and(|consensus| consensus.is_content(left, right, &hunk)) {
            return (Some(Difference::Content), edits);
        }
        edits += u32::from(asked.is_some());
    }
    (None, edits)
}

fn differ_in_numbers(left: &[u64], right: &[u64], hunk: &Hunk) -> bool {
    let numbers = |tokens: &[u64]| {
        let mut numbers: Vec<u64> = tokens
            .iter()
            .copied()
            .filter(|&token| is_number(token))
            .collect();
        numbers.sort_unstable();
        numbers
    };
    numbers(&left[hunk.left.clone()]) != numbers(&right[hunk.right.clone()])
}
