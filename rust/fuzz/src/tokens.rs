//! The tokens of a text are found alike on every instruction set, in pieces of any size, and by
//! looking at one scalar after the other; and nothing that is no text is out of reach.

use std::ops::Range;

use curatekit_core::kernels::{Instructions, Tokenizer, each_token_by_piece, each_token_slowly};

/// Stands in the input for half of a surrogate pair, which no UTF-8 has.
const HALF: char = '\u{E000}';

/// The first two bytes say where the text is cut, and into pieces of which size.
pub fn holds(bytes: &[u8]) {
    let &[cut, size, ref rest @ ..] = bytes else {
        return;
    };
    // A scalar that is cut off reaches as far as it would.
    let any = tokens(rest, Instructions::here());
    assert!(
        any.windows(2)
            .all(|pair| pair[0].1.start <= pair[1].1.start)
    );
    assert!(
        any.iter()
            .all(|(_, place)| place.start < rest.len() && place.end <= rest.len())
    );
    let mut text = Vec::new();
    for letter in String::from_utf8_lossy(rest).chars() {
        if letter == HALF {
            text.extend_from_slice(&[0xED, 0xA0 | cut & 0x1F, 0x80 | size & 0x3F]);
        } else {
            text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    // It may end in the middle of a scalar.
    text.truncate(text.len().saturating_sub(usize::from(cut % 8)));
    let mut slow = Vec::new();
    each_token_slowly(&mut Tokenizer::default(), &text, |token, place| {
        slow.push((token, place));
    });
    for instructions in Instructions::all() {
        assert_eq!(tokens(&text, instructions), slow, "{}", instructions.name());
        let mut tokenizer = Tokenizer::with(instructions);
        let mut split = Vec::new();
        tokenizer.split(&text, &mut split);
        assert!(split.iter().eq(slow.iter().map(|(token, _)| token)));
        let mut pieces = Vec::new();
        let size = usize::from(size) << (cut >> 6);
        each_token_by_piece(&mut tokenizer, &text, size, |token, place| {
            pieces.push((token, place));
        });
        assert_eq!(pieces, slow, "{}, pieces of {size}", instructions.name());
    }
}

fn tokens(text: &[u8], instructions: Instructions) -> Vec<(u64, Range<usize>)> {
    let mut tokens = Vec::new();
    Tokenizer::with(instructions).each(text, |token, place| tokens.push((token, place)));
    tokens
}
