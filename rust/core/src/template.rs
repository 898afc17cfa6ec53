//! The template of a family, as a person reads it.

use std::ops::Range;

use crate::consensus::Consensus;
use crate::ngrams::ngrams;
use crate::tokens::{SEPARATOR, Tokenizer};

/// Stands for what differs from text to text.
const SLOT: &str = "…";

/// Bytes of a template, at most and about.
const LONGEST: usize = 4000;

/// What a member of a family has in common with it, and how many tokens that is. `texts` are those
/// of the member's role, given by its hash.
pub(crate) fn template(
    texts: &[&[u8]],
    consensus: &Consensus,
    ngram: usize,
    role: u64,
) -> (usize, String) {
    let (mut tokens, mut places) = (Vec::new(), Vec::new());
    let mut tokenizer = Tokenizer::default();
    for (part, text) in texts.iter().enumerate() {
        if part > 0 {
            tokens.push(SEPARATOR);
            places.push((part, 0..0));
        }
        tokenizer.each(text, |token, place| {
            tokens.push(token);
            places.push((part, place));
        });
    }
    let mut is_common = vec![false; tokens.len()];
    for (at, shingle) in ngrams(&tokens, ngram, role).enumerate() {
        if consensus.is_common(shingle) {
            let end = tokens.len().min(at + ngram);
            is_common[at..end].fill(true);
        }
    }
    let mut pieces: Vec<String> = Vec::new();
    let mut open: Option<(usize, Range<usize>)> = None;
    let close = |open: &mut Option<(usize, Range<usize>)>, pieces: &mut Vec<String>| {
        if let Some((part, place)) = open.take() {
            pieces.push(String::from_utf8_lossy(&texts[part][place]).into_owned());
        }
    };
    for (&(part, ref place), &common) in places.iter().zip(&is_common) {
        match &mut open {
            Some((of_part, so_far)) if common && *of_part == part && so_far.end > 0 => {
                so_far.end = so_far.end.max(place.end);
            }
            _ => {
                close(&mut open, &mut pieces);
                if common {
                    open = Some((part, place.clone()));
                } else if pieces.last().is_none_or(|last| last != SLOT) {
                    pieces.push(SLOT.to_owned());
                }
            }
        }
        if pieces.iter().map(String::len).sum::<usize>() > LONGEST {
            break;
        }
    }
    close(&mut open, &mut pieces);
    let covered = is_common.iter().filter(|&&common| common).count();
    pieces.retain(|piece| !piece.is_empty());
    (covered, pieces.join(" "))
}
