//! Which bytes of a file are rows, through whole runs over real files.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use curatekit_core::{Decisions, Error, Format, Method, Result, Settings, Watch, decide};
use tempfile::TempDir;

fn run(name: &str, bytes: &[u8]) -> Result<(Decisions, TempDir)> {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    let record = Format {
        name: "record".into(),
        ..Format::default()
    };
    let settings = Settings {
        method: Method::Exact,
        threads: 1,
        ..Settings::default()
    };
    let watch = Watch::default();
    decide(&[path], &[record], &settings, folder.path(), None, &watch)
        .map(|decisions| (decisions, folder))
}

#[test]
fn rows_are_lines_elements_or_the_whole_file() {
    /// Line, byte and text of a row.
    type Row = (u64, u64, &'static str);
    let cases: [(&str, &str, &[Row]); 15] = [
        ("a.jsonl", "", &[]),
        ("a.jsonl", "\n \t\r\n\n", &[]),
        ("a.jsonl", "{}\n{}", &[(1, 0, "{}"), (2, 3, "{}")]),
        (
            "a.jsonl",
            "\u{FEFF}{}\r\n\n {} \n",
            &[(1, 3, "{}\r"), (3, 8, " {} ")],
        ),
        ("a.JSONL", "[1]\n[2]\n", &[(1, 0, "[1]"), (2, 4, "[2]")]),
        ("a.jsonl", "[]\n{}\n", &[(1, 0, "[]"), (2, 3, "{}")]),
        ("a.jsonl", "[{},\n{}]", &[(1, 1, "{}"), (2, 5, "{}")]),
        (
            "a.json",
            "[1, \"]\", [2,\n3]]",
            &[(1, 1, "1"), (1, 4, "\"]\""), (1, 9, "[2, 3]")],
        ),
        ("a.json", " [ ] ", &[]),
        (
            "a",
            "\n[\n {\"a\":\r\n[1]}\n]\n",
            &[(3, 4, "{\"a\":  [1]}")],
        ),
        ("a.json", "{\"a\":\n 1}\n", &[(1, 0, "{\"a\":  1}")]),
        ("a.jsonl", "\n {\n}", &[(2, 2, "{ }")]),
        (
            "a.json",
            "{\"a\": 1}\n{\"a\": 2}\n",
            &[(1, 0, "{\"a\": 1}"), (2, 9, "{\"a\": 2}")],
        ),
        ("a.jsonl", "{\"a\"\n{}\n", &[(1, 0, "{\"a\""), (2, 5, "{}")]),
        ("a.jsonl", "\u{C}\n\0\n", &[(1, 0, "\u{C}"), (2, 2, "\0")]),
    ];
    for (name, text, expected) in cases {
        let (decisions, _folder) = run(name, text.as_bytes()).expect("readable");
        let rows = &decisions.corpus.rows;
        let found: Vec<_> = (0..rows.len())
            .map(|row| {
                (
                    rows.line(row),
                    rows.offset(row),
                    String::from_utf8_lossy(&rows.one_line(row)).into_owned(),
                )
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|&(line, byte, row)| (line, byte, row.to_owned()))
            .collect();
        assert_eq!(found, expected, "{name}: {text:?}");
    }
}

#[test]
fn a_broken_array_stops_the_run_and_says_where() {
    let cases = [
        ("[", "broken at byte 1: expected an element"),
        ("[{}", "broken at byte 3: expected `,` or `]`"),
        ("[{},]", "broken at byte 4: expected an element"),
        (
            "[{}] x",
            "broken at byte 5: expected nothing after the array",
        ),
        (
            "[{\"a\": x}]",
            "in the element at byte 1 (line 1): expected a value at byte 6 of the row",
        ),
        ("[{\"a\": 1]", "broken at byte 9: expected `,` or `]`"),
    ];
    for (text, message) in cases {
        let error = run("a.json", text.as_bytes()).expect_err(text);
        assert!(matches!(error, Error::Broken { .. }), "{error}");
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
}

/// The encoding is looked at first; what else is wrong must not hide behind it.
#[test]
fn an_element_that_is_broken_and_not_utf8_breaks_its_array() {
    let misquoted = b"[{\"text\": \"\xFF}, {\"text\": \"}, {\"text\": \"c\"}]";
    assert!(matches!(
        run("a.json", misquoted),
        Err(Error::Broken { .. })
    ));
    let (decisions, _folder) = run("a.json", b"[{\"text\": \"\xFF\"}, {}]").expect("whole");
    assert_eq!(decisions.problems.len(), 1);
}

#[test]
fn a_lone_line_that_is_not_utf8_keeps_its_bytes() {
    let (decisions, _folder) = run("a.jsonl", b"{\"text\": \"caf\xE9\"} \r\n").expect("readable");
    assert_eq!(
        &*decisions.corpus.rows.one_line(0),
        b"{\"text\": \"caf\xE9\"} \r"
    );
}

#[test]
fn packed_files_are_unpacked_and_broken_ones_refused() {
    let text = "{\"a\": 1}\n{\"a\": 2}\n".repeat(1000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    let gzip = encoder.finish().expect("memory");
    let zstd = zstd::encode_all(text.as_bytes(), 1).expect("memory");
    for (name, packed) in [
        ("a.jsonl.gz", &gzip),
        ("a.jsonl.zst", &zstd),
        ("a.jsonl", &gzip),
    ] {
        let twice = [packed.as_slice(), packed].concat();
        let (decisions, _folder) = run(name, &twice).expect("readable");
        assert_eq!(decisions.corpus.rows.len(), 4000, "{name}");
        let error = run(name, &packed[..packed.len() / 2]).expect_err("cut short");
        assert!(error.to_string().contains("data ends early"), "{error}");
    }
    let skippable = [b"\x50\x2A\x4D\x18\x02\0\0\0ab", zstd.as_slice()].concat();
    let (decisions, _folder) = run("a.jsonl.zst", &skippable).expect("readable");
    assert_eq!(decisions.corpus.rows.len(), 2000);
    let error = run("a.jsonl.GZ", b"").expect_err("nothing at all");
    assert!(error.to_string().contains("data ends early"), "{error}");
    let error = run("a.jsonl.gz", b"{}\n").expect_err("not packed");
    assert!(error.to_string().contains("is not gzip data"), "{error}");
}

#[test]
fn a_missing_input_is_named() {
    let paths = [PathBuf::from("missing.jsonl")];
    let outcome = decide(
        &paths,
        &[Format::default()],
        &Settings::default(),
        &std::env::temp_dir(),
        None,
        &Watch::default(),
    );
    assert!(matches!(outcome, Err(Error::Read { .. })));
}
