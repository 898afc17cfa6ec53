//! What is measured: one kernel over one input, which is the same every time and everywhere.

use std::fmt::Write as _;

use curatekit_core::kernels::{
    Ascii, BATCH, Band, Instructions, Keys, MinHash, Sets, Tokenizer, check, hash_words, hashes,
    mix, rows,
};
use curatekit_core::{
    Banding, Format, Layout, PartRule, Parts, RoleRule, RuleKind, Selection, Tape, validate,
};

/// Bytes of text in an input.
const SIZE: usize = 1 << 17;
/// Bytes of text in a row.
const ROW: usize = 2000;
/// Words a shingle.
const NGRAM: usize = 5;
/// Rows in the spool of [`bands`].
const KEYS: u64 = 100_000;

/// Runs a kernel over its input once; what it returns is there to be used.
pub type Run = Box<dyn FnMut() -> u64>;

/// How much is done each time.
#[derive(Clone, Copy)]
pub enum Amount {
    Bytes(usize),
    Elements(usize),
}

/// A kernel, an input, and instructions, where they can be chosen.
pub struct Case {
    pub kernel: &'static str,
    pub variant: String,
    pub make: Box<dyn Fn() -> (Amount, Run)>,
}

/// All that can be measured.
pub fn all() -> Vec<Case> {
    let mut all = Vec::new();
    for (input, text) in INPUTS {
        let lines = move || lines(&rows_of(&text()));
        let validated = move || validated(&rows_of(&text()));
        let parts = move || parts(&rows_of(&text()));
        let shingles = move || shingles(&tokens_of(&text()));
        all.push(case("lines", input, lines));
        all.push(case("validate", input, validated));
        all.push(case("parts", input, parts));
        for instructions in Instructions::all() {
            let variant = format!("{input} {}", instructions.name());
            let found = move || found(text(), instructions);
            let hashed = move || hashed(&text(), instructions);
            let tokens = move || tokens(text(), instructions);
            all.push(case("words", &variant, found));
            all.push(case("word-hash", &variant, hashed));
            all.push(case("tokens", &variant, tokens));
        }
        all.push(case("shingles", input, shingles));
    }
    for instructions in Instructions::all() {
        let minhash = move || minhash(instructions);
        let keys = move || keys(instructions);
        let file_hash = move || file_hash(instructions);
        all.push(case("minhash", instructions.name(), minhash));
        all.push(case("band-keys", instructions.name(), keys));
        all.push(case("file-hash", instructions.name(), file_hash));
    }
    all.push(case("bands", "1 in 10 shared", bands));
    all
}

fn case(kernel: &'static str, variant: &str, make: impl Fn() -> (Amount, Run) + 'static) -> Case {
    Case {
        kernel,
        variant: variant.to_owned(),
        make: Box::new(make),
    }
}

/// A name, and who writes the text.
type Input = (&'static str, fn() -> String);

const INPUTS: [Input; 3] = [("prose", prose), ("code", code), ("han", han)];

/// Draws that never change.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: usize) -> usize {
        self.0 += 1;
        (mix(self.0) % end as u64) as usize
    }

    /// Small numbers are drawn more often, as words of a language are.
    fn uneven(&mut self, end: usize) -> usize {
        let most = self.below(end) + 1;
        self.below(most)
    }
}

/// Words that look like those of English: mostly short, few of them most of the time.
fn prose() -> String {
    let mut draws = Draws(1);
    let syllables = [
        "the", "a", "in", "er", "to", "con", "st", "re", "al", "or", "ing", "ed",
    ];
    let word = |draws: &mut Draws| {
        let count = 1 + draws.uneven(4);
        let syllable = |_| syllables[draws.uneven(syllables.len())];
        (0..count).map(syllable).collect::<String>()
    };
    let words: Vec<String> = (0..2000).map(|_| word(&mut draws)).collect();
    let mut text = String::new();
    while text.len() < SIZE {
        text += &words[draws.uneven(words.len())];
        text += [" ", " ", " ", " ", " ", " ", ", ", ". ", " 12 ", " It's "][draws.below(10)];
    }
    text
}

/// Lines with indents, quotes, backslashes and symbols: much to unescape.
fn code() -> String {
    let mut draws = Draws(2);
    let names = [
        "value",
        "index",
        "self",
        "row_count",
        "f",
        "x1",
        "HashMap",
        "read_line",
    ];
    let mut text = String::new();
    while text.len() < SIZE {
        let indent = "\t".repeat(draws.below(4));
        let [left, right] = [0; 2].map(|_| names[draws.below(names.len())]);
        let operator = ["=", "+=", "==", "->", "<", "&&"][draws.below(6)];
        let number = draws.below(10_000);
        writeln!(
            text,
            "{indent}{left} {operator} {right}(\"%d\\n\", {number});"
        )
        .expect("memory takes it");
    }
    text
}

/// Han without spaces, with its own punctuation.
fn han() -> String {
    let mut draws = Draws(3);
    let mut text = String::new();
    while text.len() < SIZE {
        for _ in 0..3 + draws.below(20) {
            let code = 0x4E00 + draws.uneven(3000) as u32;
            text.push(char::from_u32(code).expect("a letter"));
        }
        text.push(['，', '。', '\n'][draws.below(3)]);
    }
    text
}

/// The text as rows, one a line.
fn rows_of(text: &str) -> Vec<u8> {
    let mut rows = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let cut = (ROW.min(rest.len())..=rest.len()).find(|&at| rest.is_char_boundary(at));
        let (row, after) = rest.split_at(cut.expect("its end is one"));
        let quoted = curatekit_core::kernels::quoted(row);
        writeln!(rows, "{{\"id\": {}, \"text\": {quoted}}}", rows.len()).expect("memory takes it");
        rest = after;
    }
    rows.into_bytes()
}

fn tokens_of(text: &str) -> Vec<u64> {
    let mut tokens = Vec::new();
    Tokenizer::default().split(text.as_bytes(), &mut tokens);
    tokens
}

fn lines(bytes: &[u8]) -> (Amount, Run) {
    let bytes = bytes.to_vec();
    let amount = Amount::Bytes(bytes.len());
    let run = move || rows(&bytes, "a.jsonl").map_or(0, |(_, rows, _)| rows.len() as u64);
    (amount, Box::new(run))
}

/// The rows of these lines.
fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let rows = bytes
        .split(|&byte| byte == b'\n')
        .filter(|row| !row.is_empty());
    rows.map(<[u8]>::to_vec).collect()
}

fn validated(bytes: &[u8]) -> (Amount, Run) {
    let rows = split(bytes);
    let run = move || rows.iter().filter(|row| check(row).is_ok()).count() as u64;
    (Amount::Bytes(bytes.len()), Box::new(run))
}

fn parts(bytes: &[u8]) -> (Amount, Run) {
    let rows = split(bytes);
    let format = Format {
        name: "text".into(),
        needs: vec![vec!["text".into()]],
        parts: vec![PartRule {
            path: "text".into(),
            role: RoleRule::Fixed("text".into()),
            kind: RuleKind::Text,
        }],
        ..Format::default()
    };
    let layout = Layout::new(&format).expect("a good format");
    let selection = Selection::default();
    let mut tape = Tape::default();
    let run = move || {
        let mut read = 0;
        for row in &rows {
            let object = validate(row, &mut tape).expect("good rows");
            let parts = Parts::read(object, &layout, &selection).expect("good rows");
            read += parts.list[0].text.len() as u64;
        }
        read
    };
    (Amount::Bytes(bytes.len()), Box::new(run))
}

fn found(text: String, instructions: Instructions) -> (Amount, Run) {
    let mut ascii = Ascii::default();
    let amount = Amount::Bytes(text.len());
    let run = move || {
        ascii.read(text.as_bytes(), instructions);
        ascii.spans().1.len() as u64
    };
    (amount, Box::new(run))
}

fn hashed(text: &str, instructions: Instructions) -> (Amount, Run) {
    let mut ascii = Ascii::default();
    ascii.read(text.as_bytes(), instructions);
    let (bytes, starts, lasts) = ascii.spans();
    let (bytes, starts, lasts) = (bytes.to_vec(), starts.to_vec(), lasts.to_vec());
    let amount = Amount::Elements(starts.len());
    let mut tokens = [0; BATCH];
    let run = move || {
        let batches = starts.chunks(BATCH).zip(lasts.chunks(BATCH));
        batches.fold(0, |sum, (starts, lasts)| {
            hash_words(&bytes, starts, lasts, &mut tokens, instructions);
            sum ^ tokens[0]
        })
    };
    (amount, Box::new(run))
}

fn tokens(text: String, instructions: Instructions) -> (Amount, Run) {
    let mut tokenizer = Tokenizer::with(instructions);
    let mut tokens = Vec::new();
    let amount = Amount::Bytes(text.len());
    let run = move || {
        tokens.clear();
        tokenizer.split(text.as_bytes(), &mut tokens);
        tokens.len() as u64
    };
    (amount, Box::new(run))
}

fn shingles(tokens: &[u64]) -> (Amount, Run) {
    /// Tokens of a row.
    const SOME: usize = 400;
    let tokens = tokens.to_vec();
    let mut sets = Sets::default();
    let amount = Amount::Elements(tokens.len());
    let run = move || {
        let sets = tokens
            .chunks(SOME)
            .map(|some| sets.distinct(some, NGRAM, 0).len() as u64);
        sets.sum()
    };
    (amount, Box::new(run))
}

fn file_hash(instructions: Instructions) -> (Amount, Run) {
    let text = prose();
    let amount = Amount::Bytes(text.len());
    let run = move || hashes(text.as_bytes(), instructions).0 as u64;
    (amount, Box::new(run))
}

fn minhash(instructions: Instructions) -> (Amount, Run) {
    let shingles: Vec<u64> = (0..4000).map(mix).collect();
    let minhash = MinHash::new(0).with(instructions);
    let amount = Amount::Elements(shingles.len());
    let run = move || {
        let mut signature = MinHash::empty();
        minhash.add(&mut signature, &shingles);
        u64::from(signature[0])
    };
    (amount, Box::new(run))
}

fn keys(instructions: Instructions) -> (Amount, Run) {
    let banding = Banding::for_threshold(800).expect("there is one");
    let keys = Keys::new(&MinHash::new(0).with(instructions), banding);
    let mut found = Vec::new();
    let run = move || {
        found.clear();
        for at in 0..1000 {
            keys.push(&[at], &mut found);
        }
        found.iter().fold(0, |sum, key| sum ^ key)
    };
    (Amount::Elements(1000 * banding.bands), Box::new(run))
}

fn bands() -> (Amount, Run) {
    let key = |row: u64| {
        mix(if row.is_multiple_of(10) {
            row / 20
        } else {
            KEYS + row
        })
    };
    let keys: Vec<u64> = (0..KEYS).map(key).collect();
    let band = Band::new(&std::env::temp_dir(), &keys).expect("can be written");
    let run = move || band.shared(64 << 20).expect("can be read") as u64;
    (Amount::Elements(keys.len()), Box::new(run))
}
