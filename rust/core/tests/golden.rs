//! Golden vectors: what a text becomes, bit for bit, on every instruction set of this machine.
//!
//! `golden/vectors.tsv` is frozen. Runs over the same data must decide the same for ever, and
//! indexes that one version wrote are read by the next. To change a line of it is to change a
//! format: it needs a reason, a line in the changelog, and a new version of whatever stores such
//! bits. If that is what you mean, `CURATEKIT_NEW_VECTORS=1 cargo test --test golden` writes the
//! file anew.

use std::fmt::Write as _;
use std::path::Path;

use curatekit_core::kernels::{
    Instructions, MinHash, Sets, Shingler, Signature, Tokenizer, band_keys, hashes, mix,
};
use curatekit_core::{Alike, Banding, HASHED, Part, Parts, Shingling};
use twox_hash::{XxHash3_64, XxHash3_128};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/vectors.tsv");

/// The seed of runs that name none.
const SEED: u64 = 0;

/// Elements of a list that are written out; the others stand in its digest alone.
const SHOWN: usize = 6;

fn texts() -> Vec<(&'static str, Vec<u8>)> {
    let texts = [
        ("empty", ""),
        ("one token", "word"),
        ("no token", "...!? \u{1F600}"),
        (
            "ascii",
            "The 12 quick brown foxes, and 3.5 lazy dogs: 2+3=5 <b>It's</b> snake_case OK",
        ),
        (
            "lengths",
            "a bb ccc dddd eeeee ffffff 7777777 88888888 nine99999 0123456789abcdef \
            seventeen_letter_words \
            12345678901234567 a_word_that_has_more_than_two_hundred",
        ),
        (
            "latin",
            "Straße ÀB cafe\u{301} CAFÉ ÅNGSTRÖM a\u{323}\u{302} ﬁne İstanbul",
        ),
        ("greek", "Ὀδυσσεύς ΣΊΣΥΦΟΣ καὶ λόγος ᾳ ≠ π"),
        (
            "cyrillic",
            "Съешь же ещё этих мягких французских булок, да выпей чаю",
        ),
        (
            "han",
            "去年今日此門中，人面桃花相映紅。中文和English混排123",
        ),
        ("kana", "ガギグ\u{30AB}\u{3099} ひらがなとカタカナ、です"),
        ("thai", "กรุงเทพมหานคร อมรรัตนโกสินทร์ ๑๒๓"),
        ("hangul", "한국어 \u{1112}\u{1161}\u{11AB} 각각 값"),
        ("arabic and hebrew", "السَّلَامُ عَلَيْكُمْ ٣٤ שָׁלוֹם"),
        ("emoji", "a😀b 👩\u{200D}💻 ❤\u{FE0F} 🇺🇳 \u{301}x €7 ∑∞"),
        (
            "controls",
            "tab\there\r\nline\u{0}nul\u{7f}del\u{85}\u{A0}\u{2028}end",
        ),
    ];
    let mut texts = texts
        .map(|(name, text)| (name, text.as_bytes().to_vec()))
        .to_vec();
    texts.push((
        "half of a surrogate pair",
        b"a\xED\xA0\x80b \xED\xB0\x80".to_vec(),
    ));
    texts.push(("10 kB of words", words(10_000, |draw| letters(draw, 12))));
    texts.push((
        "10 kB, one scalar in nine not ASCII",
        words(10_000, |draw| {
            let mut word = letters(draw, 7);
            if draw(9) == 0 {
                word.push(['é', 'Я', '日', '한', 'ก', '😀', '\u{301}', '≤', '٣'][draw(9) as usize]);
            }
            word
        }),
    ));
    texts.push(("one word of 10 kB", vec![b'Q'; 10_000]));
    texts.push((
        "10 kB without a space",
        "春眠不覺曉處處聞啼鳥".repeat(334).into_bytes(),
    ));
    texts
}

/// Words until there are so many bytes, by draws that never change.
fn words(bytes: usize, word: impl Fn(&mut dyn FnMut(u64) -> u64) -> String) -> Vec<u8> {
    let mut state = 0;
    let mut draw = |below: u64| {
        state += 1;
        mix(state) % below
    };
    let mut text = String::new();
    while text.len() < bytes {
        text += &word(&mut draw);
        text += [" ", " ", " ", ", ", "\n", "+"][draw(6) as usize];
    }
    text.into_bytes()
}

fn letters(draw: &mut dyn FnMut(u64) -> u64, most: u64) -> String {
    const LETTERS: &[u8] = b"eetaoinshrdlucmfw0129ABC";
    let length = 1 + draw(most);
    (0..length)
        .map(|_| char::from(LETTERS[draw(LETTERS.len() as u64) as usize]))
        .collect()
}

/// A line of the file: how many there are, a digest of them all, and the first ones.
fn line(lines: &mut String, name: &str, of: &str, values: impl IntoIterator<Item = u64>) {
    let values: Vec<u64> = values.into_iter().collect();
    let digest = values
        .iter()
        .fold(values.len() as u64, |digest, &value| mix(digest ^ value));
    write!(lines, "{name}\t{of}\t{}\t{digest:016x}", values.len()).expect("memory takes it");
    for value in values.iter().take(SHOWN) {
        write!(lines, "\t{value:x}").expect("memory takes it");
    }
    lines.push('\n');
}

/// What each text becomes by these instructions.
fn vectors(instructions: Instructions) -> String {
    let mut tokenizer = Tokenizer::with(instructions);
    let minhash = MinHash::new(SEED).with(instructions);
    let banding = Banding::for_threshold(800).expect("there is one");
    let mut sets = Sets::default();
    let mut lines = String::new();
    for (name, text) in texts() {
        let mut tokens = Vec::new();
        tokenizer.split(&text, &mut tokens);
        line(&mut lines, name, "tokens", tokens.iter().copied());
        if tokens.is_empty() {
            continue; // never a near-duplicate: it has no shingles
        }
        for (of, ngram, salt) in [
            ("5-grams", 5, 0),
            ("3-grams of user", 3, XxHash3_64::oneshot(b"user")),
        ] {
            let shingles = sets.sorted(&tokens, ngram, salt);
            line(&mut lines, name, of, shingles.iter().copied());
            let mut signature: Signature = MinHash::empty();
            minhash.add(&mut signature, &shingles);
            line(
                &mut lines,
                name,
                "their signature",
                signature.map(u64::from),
            );
            line(
                &mut lines,
                name,
                "its bands at 0.8",
                band_keys(banding, &signature, instructions),
            );
        }
    }
    lines
}

#[test]
fn what_texts_become_is_for_ever() {
    if std::env::var_os("CURATEKIT_NEW_VECTORS").is_some() {
        std::fs::write(FILE, vectors(Instructions::here())).expect("written");
    }
    let frozen = std::fs::read_to_string(Path::new(FILE)).expect("the vectors are there");
    for instructions in Instructions::all() {
        let found = vectors(instructions);
        let differ = frozen
            .lines()
            .zip(found.lines())
            .find(|(frozen, found)| frozen != found);
        assert_eq!(
            differ.map_or(("", ""), |differ| differ),
            ("", ""),
            "{}: what is frozen, and what it now is; changing it is a change of the format",
            instructions.name()
        );
        assert_eq!(found.lines().count(), frozen.lines().count());
    }
}

/// What runs do with a row is what the vectors hold.
#[test]
fn rows_become_the_same_sets() {
    let mut shingler = Shingler::default();
    for (name, text) in texts() {
        let part = Part {
            role: "user".into(),
            opaque: false,
            text: text.as_slice().into(),
            span: 0..0,
        };
        let parts = Parts {
            list: vec![part],
            ..Parts::default()
        };
        let mut tokens = Vec::new();
        Tokenizer::default().split(&text, &mut tokens);
        let ways = [
            (Alike::Whole, 5, 0),
            (Alike::EachRole, 3, XxHash3_64::oneshot(b"user")),
        ];
        for (alike, ngram, salt) in ways {
            let shingling = Shingling {
                ngram,
                alike,
                tokens: false,
            };
            let sets = shingler.sets(&parts, shingling);
            if !sets.has_tokens {
                assert_eq!(tokens, [], "{name}");
                continue;
            }
            let expected = Sets::default().sorted(&tokens, ngram, salt);
            assert_eq!(sets.groups[0].shingles, expected, "{name}");
        }
    }
}

/// A run and whoever checks it hash the same: the whole of a file, and its blocks.
#[test]
fn files_have_the_hashes_that_a_library_gives_them() {
    let bytes: Vec<u8> = (0_u64..)
        .flat_map(|at| mix(at).to_le_bytes())
        .take(2 * HASHED + 1025)
        .collect();
    for instructions in Instructions::all() {
        for behind in [0, 1, 1024, 1025] {
            let bytes = &bytes[..2 * HASHED + behind];
            let blocks: Vec<u128> = bytes.chunks(HASHED).map(XxHash3_128::oneshot).collect();
            let expected = (XxHash3_128::oneshot(bytes), blocks);
            let name = instructions.name();
            assert_eq!(hashes(bytes, instructions), expected, "{name}, {behind}");
        }
    }
}
