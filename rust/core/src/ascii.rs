//! Where the words of a text are, found 64 bytes at a time.
//!
//! Most text is ASCII, and most of it is words between spaces. A bit for each byte says what it is,
//! and from these bits come the places where words begin and end, with no jump that depends on how
//! long they are (after Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019).

#![allow(unsafe_code)] // vector instructions, where the machine has them

use crate::instructions::{Instructions, Set};

/// Bytes of which a word of bits tells.
const BLOCK: usize = u64::BITS as usize;

/// Places that are written at a time, whether there are as many or not.
const STEP: usize = 8;

/// The spans of a text, and its small letters; keeps its buffers from text to text.
#[derive(Debug, Default)]
pub struct Ascii {
    lower: Vec<u8>,
    starts: Places,
    lasts: Places,
    is_pure: bool,
}

/// What the bytes of a block are.
#[derive(Clone, Copy)]
struct Bits {
    words: u64,
    symbols: u64,
    /// First bytes of scalars that are not ASCII.
    not_ascii: u64,
}

impl Ascii {
    /// Bytes that can be read behind a text: [`crate::word_hash`] takes eight from the first of a word.
    const MARGIN: usize = 8;

    /// Look at another text.
    pub fn read(&mut self, text: &[u8], instructions: Instructions) {
        let whole = (text.len() / BLOCK + 1) * BLOCK;
        self.lower.resize(whole + Self::MARGIN, b' ');
        self.starts.count = 0;
        self.lasts.count = 0;
        match instructions.set() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Instructions` is only made where the machine has them.
            Set::Avx512Vbmi => unsafe { self.read_avx512(text) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx512 | Set::Avx2 => unsafe { self.read_avx2(text) },
            Set::Portable => self.read_by(text, classify, spread),
        }
    }

    /// The text, where A to Z are small, and some bytes that can be read behind it; and the first and
    /// the last bytes of the spans: words of letters and digits, and, one by one, symbols and the first
    /// bytes of scalars that are not ASCII.
    #[must_use]
    pub fn spans(&self) -> (&[u8], &[usize], &[usize]) {
        (&self.lower, self.starts.known(), self.lasts.known())
    }

    /// Does no scalar begin that is not ASCII?
    #[must_use]
    pub fn is_pure(&self) -> bool {
        self.is_pure
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn read_avx2(&mut self, text: &[u8]) {
        self.read_by(text, |block, lower| classify_avx2(block, lower), spread);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,bmi1,popcnt")]
    fn read_avx512(&mut self, text: &[u8]) {
        self.read_by(
            text,
            |block, lower| classify_avx512(block, lower),
            |base, bits, places| spread_avx512(base, bits, places),
        );
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // compiled once for each instruction set that calls it
    fn read_by(
        &mut self,
        text: &[u8],
        classify: impl Fn(&[u8; BLOCK], &mut [u8; BLOCK]) -> Bits,
        spread: impl Fn(usize, u64, &mut [usize; BLOCK]),
    ) {
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let (mut goes_on, mut all) = (0, 0);
        for (number, block) in blocks.iter().chain([&last]).enumerate() {
            let base = number * BLOCK;
            let lower = self.lower[base..].first_chunk_mut().expect("there is room");
            let found = classify(block, lower);
            all |= found.not_ascii;
            let (words, others) = (found.words, found.symbols | found.not_ascii);
            let next = text
                .get(base + BLOCK)
                .is_some_and(u8::is_ascii_alphanumeric);
            let starts = words & !(words << 1 | goes_on) | others;
            let lasts = words & !(words >> 1 | u64::from(next) << (BLOCK - 1)) | others;
            goes_on = words >> (BLOCK - 1);
            self.starts.add(base, starts, &spread);
            self.lasts.add(base, lasts, &spread);
        }
        self.is_pure = all == 0;
    }
}

/// A list of places, written without a look at how many there are.
#[derive(Debug, Default)]
struct Places {
    list: Vec<usize>,
    count: usize,
}

impl Places {
    fn known(&self) -> &[usize] {
        &self.list[..self.count]
    }

    /// Add the place of each bit.
    #[inline(always)]
    #[allow(clippy::inline_always)] // as above
    fn add(&mut self, base: usize, bits: u64, spread: impl Fn(usize, u64, &mut [usize; BLOCK])) {
        if self.list.len() < self.count + BLOCK {
            self.list.resize(2 * self.count + BLOCK, 0);
        }
        let room = self.list[self.count..].first_chunk_mut();
        spread(base, bits, room.expect("there is room"));
        self.count += bits.count_ones() as usize;
    }
}

/// Write the place of each bit of a word, from `base` on.
#[inline(always)]
#[allow(clippy::inline_always)] // as above
fn spread(base: usize, mut bits: u64, places: &mut [usize; BLOCK]) {
    for step in places.as_chunks_mut::<STEP>().0 {
        for place in step {
            *place = base + bits.trailing_zeros() as usize;
            bits &= bits.wrapping_sub(1);
        }
        if bits == 0 {
            break;
        }
    }
}

/// The same, squeezed out of the list of all places.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
#[inline]
fn spread_avx512(base: usize, bits: u64, places: &mut [usize; BLOCK]) {
    use std::arch::x86_64::{
        _mm_set_epi64x, _mm512_add_epi64, _mm512_cvtepu8_epi64, _mm512_loadu_epi8,
        _mm512_maskz_compress_epi8, _mm512_set1_epi64, _mm512_storeu_epi8, _mm512_storeu_epi64,
    };

    const ALL: [u8; BLOCK] = {
        let mut all = [0; BLOCK];
        let mut at = 0;
        while at < BLOCK {
            all[at] = at as u8;
            at += 1;
        }
        all
    };

    let mut found = [0; BLOCK];
    // SAFETY: as many bytes can be read and written there.
    unsafe {
        let all = _mm512_loadu_epi8(ALL.as_ptr().cast());
        let squeezed = _mm512_maskz_compress_epi8(bits, all);
        _mm512_storeu_epi8(found.as_mut_ptr().cast(), squeezed);
    }
    let base = _mm512_set1_epi64((base as u64).cast_signed());
    let steps = (bits.count_ones() as usize).div_ceil(STEP);
    let (steps_of_places, _) = places.as_chunks_mut::<STEP>();
    for (places, found) in steps_of_places
        .iter_mut()
        .zip(found.as_chunks::<STEP>().0)
        .take(steps)
    {
        let found = _mm_set_epi64x(0, i64::from_le_bytes(*found));
        let found = _mm512_add_epi64(_mm512_cvtepu8_epi64(found), base);
        // SAFETY: as above.
        unsafe { _mm512_storeu_epi64(places.as_mut_ptr().cast(), found) };
    }
}

const WORD: u8 = 1;
const SYMBOL: u8 = 2;
const NOT_ASCII: u8 = 3;

/// Of each byte: one of these, or 0.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => WORD,
            b'$' | b'%' | b'*' | b'+' | b'-' | b'/' | b'<' | b'=' | b'>' | b'^' | b'|' | b'~' => {
                SYMBOL
            }
            0xC0.. => NOT_ASCII,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

/// What a block is, and its small letters.
fn classify(block: &[u8; BLOCK], lower: &mut [u8; BLOCK]) -> Bits {
    *lower = block.map(|byte| byte.to_ascii_lowercase());
    let bits = |of: u8| {
        let kinds = block.iter().rev().map(|&byte| KINDS[usize::from(byte)]);
        kinds.fold(0, |bits, kind| bits << 1 | u64::from(kind == of))
    };
    Bits {
        words: bits(WORD),
        symbols: bits(SYMBOL),
        not_ascii: bits(NOT_ASCII),
    }
}

/// By one lookup of each byte.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn classify_avx512(block: &[u8; BLOCK], small: &mut [u8; BLOCK]) -> Bits {
    use std::arch::x86_64::{
        _mm512_cmpge_epu8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_epi8, _mm512_mask_add_epi8,
        _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_set1_epi8, _mm512_storeu_epi8,
        _mm512_sub_epi8, _mm512_test_epi8_mask,
    };

    // SAFETY: as many bytes can be read there, wherever they stand.
    let (bytes, low, high) = unsafe {
        (
            _mm512_loadu_epi8(block.as_ptr().cast()),
            _mm512_loadu_epi8(KINDS.as_ptr().cast()),
            _mm512_loadu_epi8(KINDS[BLOCK..2 * BLOCK].as_ptr().cast()),
        )
    };
    let all = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
    let capitals = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(bytes, all(b'A')), all(26));
    let lower = _mm512_mask_add_epi8(bytes, capitals, bytes, all(0x20));
    // SAFETY: as many bytes can be written there.
    unsafe { _mm512_storeu_epi8(small.as_mut_ptr().cast(), lower) };
    // Where the highest bit is set, what is looked up is that of the byte without it.
    let kinds = _mm512_permutex2var_epi8(low, bytes, high);
    let is_ascii = !_mm512_movepi8_mask(bytes);
    Bits {
        words: _mm512_test_epi8_mask(kinds, all(WORD)) & is_ascii,
        symbols: _mm512_test_epi8_mask(kinds, all(SYMBOL)) & is_ascii,
        not_ascii: _mm512_cmpge_epu8_mask(bytes, all(0xC0)),
    }
}

/// By two lookups of half a byte each for the symbols, and comparisons for the rest.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn classify_avx2(block: &[u8; BLOCK], small: &mut [u8; BLOCK]) -> Bits {
    use std::arch::x86_64::{
        __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256,
        _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set_epi64x,
        _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
        _mm256_storeu_si256, _mm256_sub_epi8,
    };

    /// Bit `n` stands for the `n`th of the upper halves 2, 3, 5 and 7.
    const LOWER_HALF: [u8; 16] = [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 10, 3, 14, 1];
    const UPPER_HALF: [u8; 16] = [0, 0, 1, 2, 0, 4, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];

    let table = |of: [u8; 16]| {
        let of = u128::from_le_bytes(of);
        let (low, high) = ((of as u64).cast_signed(), ((of >> 64) as u64).cast_signed());
        _mm256_set_epi64x(high, low, high, low)
    };
    let among = |bytes: __m256i, first: u8, count: i8| {
        let from_first = _mm256_sub_epi8(bytes, _mm256_set1_epi8(first.cast_signed()));
        _mm256_cmpeq_epi8(
            _mm256_min_epu8(from_first, _mm256_set1_epi8(count - 1)),
            from_first,
        )
    };
    let mask = |bytes: __m256i| u64::from(_mm256_movemask_epi8(bytes).cast_unsigned());
    let (mut all_words, mut symbols, mut not_ascii) = (0, 0, 0);
    for at in [0, BLOCK / 2] {
        let (from, to) = (&block[at..at + 32], &mut small[at..at + 32]);
        // SAFETY: 32 bytes can be read there, wherever they stand.
        let bytes = unsafe { _mm256_loadu_si256(from.as_ptr().cast()) };
        let capitals = among(bytes, b'A', 26);
        let lower = _mm256_or_si256(bytes, _mm256_and_si256(capitals, _mm256_set1_epi8(0x20)));
        // SAFETY: 32 bytes can be written there.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), lower) };
        let words = _mm256_or_si256(among(lower, b'a', 26), among(lower, b'0', 10));
        // A byte that is not ASCII finds 0 in the table, for its highest bit is set.
        let lower_half = _mm256_shuffle_epi8(table(LOWER_HALF), bytes);
        let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(0x0F));
        let upper_half = _mm256_shuffle_epi8(table(UPPER_HALF), upper);
        let no_symbol = _mm256_cmpeq_epi8(
            _mm256_and_si256(lower_half, upper_half),
            _mm256_setzero_si256(),
        );
        all_words |= mask(words) << at;
        symbols |= (mask(no_symbol) ^ 0xFFFF_FFFF) << at;
        // What goes on with a scalar is less than 0xC0, and as a signed number less than -64.
        let goes_on = _mm256_cmpgt_epi8(_mm256_set1_epi8(-64), bytes);
        not_ascii |= (mask(bytes) & !mask(goes_on)) << at;
    }
    Bits {
        words: all_words,
        symbols,
        not_ascii,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::unicode::{Class, class};

    fn check(text: &[u8], found: &Ascii) {
        let (lower, starts, lasts) = found.spans();
        assert_eq!(lower[..text.len()], *text.to_ascii_lowercase());
        assert!(lower.len() >= text.len() + Ascii::MARGIN);
        assert_eq!(found.is_pure(), text.iter().all(|&byte| byte < 0xC0));
        let is_word = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let is_other =
            |byte: u8| byte >= 0xC0 || byte.is_ascii() && class(char::from(byte)) == Class::Symbol;
        let mut expected = Vec::new();
        for (at, &byte) in text.iter().enumerate() {
            if is_word(at) && !(at > 0 && is_word(at - 1)) {
                let end = (at..=text.len()).find(|&at| !is_word(at));
                expected.push((at, end.expect("the text ends") - 1));
            } else if is_other(byte) {
                expected.push((at, at));
            }
        }
        let spans = starts.iter().copied().zip(lasts.iter().copied());
        assert!(spans.eq(expected));
    }

    proptest! {
        #[test]
        fn spans_are_found_as_if_byte_by_byte(
            text in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'a'), Just(b' ')], 0..300),
            long in "[a-z ]{0,300}|[ .]{100,300}|[a-z0-9]{100,300}",
        ) {
            let mut found = Ascii::default();
            let both = [&text, long.as_bytes()].concat();
            // Nothing of a text before may be left.
            for text in [&[b'+'; 500][..], &text, long.as_bytes(), &both] {
                for instructions in Instructions::all() {
                    found.read(text, instructions);
                    check(text, &found);
                }
            }
        }
    }

    #[test]
    fn every_byte_is_known_everywhere() {
        let mut found = Ascii::default();
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut text = [b' '; BLOCK];
                text[at] = byte;
                for instructions in Instructions::all() {
                    found.read(&text, instructions);
                    check(&text, &found);
                }
            }
        }
    }
}
