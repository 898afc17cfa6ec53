//! Near-duplicates in whole runs: found where they must be, and the same however the work is cut.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use curatekit_core::{
    Alike, Decisions, Error, Format, Method, PartRule, Reading, Recall, RoleRule, RuleKind,
    Settings, State, Watch, decide,
};
use tempfile::TempDir;

fn text_format() -> Format {
    let rule = PartRule {
        path: "text".into(),
        role: RoleRule::Fixed("text".into()),
        kind: RuleKind::Text,
    };
    Format {
        name: "text".into(),
        needs: vec![vec!["text".into()]],
        parts: vec![rule],
        ..Format::default()
    }
}

fn run(lines: &str, settings: &Settings) -> Decisions {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("rows.jsonl");
    fs::write(&path, lines).expect("written");
    decided(&[path], &[text_format()], settings, folder.path())
}

fn decided(paths: &[PathBuf], formats: &[Format], settings: &Settings, spool: &Path) -> Decisions {
    decide(paths, formats, settings, spool, None, &Watch::default()).expect("a good run")
}

fn line(words: impl Iterator<Item = u64>, lines: &mut String) {
    let words: Vec<String> = words.map(|word| format!("w{word}")).collect();
    writeln!(lines, "{{\"text\": \"{}\"}}", words.join(" ")).expect("memory");
}

/// `pairs` pairs of rows whose sets of words are exactly 0.8 alike: `4 * scale` words in both, `5 *
/// scale` in either.
fn pairs_at_the_threshold(pairs: u64, scale: u64) -> String {
    let mut lines = String::new();
    for pair in 0..pairs {
        let word = |at: u64| pair << 32 | scale << 16 | at;
        line((0..4 * scale).map(word), &mut lines);
        line((0..5 * scale).map(word), &mut lines);
    }
    lines
}

/// At the threshold a pair is missed once in 22,000; ten misses in 2,000 would be chance once in
/// 10^16.
#[test]
fn pairs_at_the_threshold_are_found_in_every_size_class() {
    let settings = Settings {
        ngram: Some(1),
        recall: Some(Recall::Bands),
        ..Settings::default()
    };
    for scale in [1, 5, 18, 60] {
        let pairs = 2000;
        let decisions = run(&pairs_at_the_threshold(pairs, scale), &settings);
        assert_eq!(
            decisions
                .banding
                .map(|banding| (banding.bands, banding.slots)),
            Some((25, 5))
        );
        let found = decisions.count(State::NearDuplicate) as u64;
        assert!(
            found <= pairs && found + 10 > pairs,
            "{found} of {pairs} at {} words",
            5 * scale
        );
        for row in
            (1..decisions.state.len()).filter(|&row| decisions.state[row] == State::NearDuplicate)
        {
            assert_eq!(decisions.witness[row] as usize, row - 1);
            assert_eq!(
                (
                    u64::from(decisions.shared[row]),
                    u64::from(decisions.united[row])
                ),
                (4 * scale, 5 * scale)
            );
        }
    }
}

#[test]
fn one_word_less_than_the_threshold_is_no_duplicate() {
    let settings = Settings {
        ngram: Some(1),
        threshold_millis: 801,
        recall: Some(Recall::Exact),
        ..Settings::default()
    };
    assert_eq!(
        run(&pairs_at_the_threshold(300, 5), &settings).count(State::Kept),
        600
    );
}

/// Drift: each row changes a little of the one before. Removed rows must be like a kept row, not
/// like a chain to one.
#[test]
fn similarity_is_not_made_transitive() {
    let mut lines = String::new();
    for step in 0..200_u64 {
        line(
            (0..60).map(|at| {
                if at < 60 - step % 60 {
                    at + 60 * (step / 60)
                } else {
                    at + 60 * (step / 60 + 1)
                }
            }),
            &mut lines,
        );
    }
    for recall in [Recall::Bands, Recall::Exact] {
        let settings = Settings {
            ngram: Some(1),
            recall: Some(recall),
            ..Settings::default()
        };
        let decisions = run(&lines, &settings);
        assert!(decisions.count(State::Kept) > 20);
        for row in 0..200 {
            let witness = decisions.witness[row] as usize;
            assert_eq!(decisions.state[witness], State::Kept);
            assert!(decisions.shared[row] * 1000 >= 800 * decisions.united[row]);
        }
    }
}

#[test]
fn threads_and_memory_do_not_change_a_decision() {
    let mut lines = String::new();
    let mut state = 7_u64;
    for row in 0..20_000_u64 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (topic, edit) = (state >> 33 & 0xFFF, state >> 50);
        line(
            (0..40).map(|at| {
                if at == edit % 40 {
                    row
                } else {
                    topic << 20 | at
                }
            }),
            &mut lines,
        );
    }
    let decide_with = |threads, memory, recall| {
        let decisions = run(
            &lines,
            &Settings {
                threads,
                memory,
                recall: Some(recall),
                ..Settings::default()
            },
        );
        (
            decisions.state_codes(),
            decisions.witness,
            decisions.shared,
            decisions.united,
        )
    };
    let expected = decide_with(1, 4 << 30, Recall::Bands);
    let states: BTreeSet<u8> = expected.0.iter().copied().collect();
    assert_eq!(
        states,
        BTreeSet::from([State::Kept as u8, State::NearDuplicate as u8])
    );
    assert_eq!(decide_with(2, 4 << 30, Recall::Bands), expected);
    assert_eq!(decide_with(7, 1 << 10, Recall::Bands), expected);
}

#[test]
fn every_role_must_be_alike_unless_the_whole_is_asked_for() {
    let rule = |path: &str, role: &str| PartRule {
        path: path.into(),
        role: RoleRule::Fixed(role.into()),
        kind: RuleKind::Text,
    };
    let format = Format {
        name: "pair".into(),
        parts: vec![rule("q", "user"), rule("a", "assistant")],
        ..Format::default()
    };
    let shared: Vec<String> = (0..100).map(|at| format!("word{at}")).collect();
    let shared = shared.join(" ");
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("rows.jsonl");
    let lines = ["yes", "no", "yes!"]
        .map(|answer| format!("{{\"q\": \"{shared}\", \"a\": \"{answer}\"}}\n"));
    fs::write(&path, lines.concat()).expect("written");
    for (alike, expected) in [(Alike::EachRole, [0, 1, 0]), (Alike::Whole, [0, 0, 0])] {
        let settings = Settings {
            alike: Some(alike),
            ..Settings::default()
        };
        let paths = [path.clone()];
        let formats = std::slice::from_ref(&format);
        let decisions = decided(&paths, formats, &settings, folder.path());
        assert_eq!(decisions.witness, expected, "{alike:?}");
    }
}

/// A system prompt and an answer that all rows share must not make every row a candidate of every
/// other.
#[test]
fn boilerplate_does_not_propose_pairs() {
    let parts = ["system", "user", "assistant"].map(|role| PartRule {
        path: role.into(),
        role: RoleRule::Fixed(role.into()),
        kind: RuleKind::Text,
    });
    let format = Format {
        name: "turns".into(),
        parts: parts.into(),
        ..Format::default()
    };
    let prompt: Vec<String> = (0..80).map(|at| format!("rule{at}")).collect();
    let prompt = prompt.join(" ");
    let rows = 5000_usize;
    let mut lines = String::new();
    for row in 0..rows {
        let question: Vec<String> = (0..8)
            .map(|at| format!("q{}", (row * 31 + at * at * 7) % 4999))
            .collect();
        let question = question.join(" ");
        let turns = format!(
            r#"{{"assistant": "{prompt} {row}", "system": "{prompt}", "user": "{question}"}}"#
        );
        writeln!(lines, "{turns}").expect("memory");
    }
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("rows.jsonl");
    fs::write(&path, lines).expect("written");
    let decisions = decided(&[path], &[format], &Settings::default(), folder.path());
    assert!(decisions.count(State::Kept) > rows * 9 / 10);
    assert!(
        decisions.pairs_compared < rows as u64,
        "{} pairs",
        decisions.pairs_compared
    );
}

/// A field that the layout reads too is compared in both ways, whatever roles are chosen.
#[test]
fn a_role_that_is_called_like_a_field_asked_for_is_none() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("rows.jsonl");
    let line = |text: &str| {
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"one\"}}, \
             {{\"role\": \"also:x\", \"content\": \"{text}\"}}]}}\n"
        )
    };
    fs::write(&path, line("two") + &line("three")).expect("written");
    let said = PartRule {
        path: "messages[*].content".into(),
        role: RoleRule::At("messages[*].role".into()),
        kind: RuleKind::Content,
    };
    let format = Format {
        name: "chat".into(),
        parts: vec![said],
        ..Format::default()
    };
    for (on, expected) in [(vec![], [0, 0]), (vec!["user".to_owned()], [0, 1])] {
        let settings = Settings {
            reading: Reading {
                on,
                ..Reading::default()
            },
            method: Method::Exact,
            ..Settings::default()
        };
        let paths = [path.clone()];
        let formats = std::slice::from_ref(&format);
        let decisions = decided(&paths, formats, &settings, folder.path());
        assert_eq!(decisions.state_codes(), expected);
    }
}

#[test]
fn a_field_asked_for_by_name_is_always_compared() {
    let turns = PartRule {
        path: "prompt[*].content".into(),
        role: RoleRule::Fixed("user".into()),
        kind: RuleKind::Content,
    };
    let chosen = PartRule {
        path: "chosen".into(),
        role: RoleRule::Fixed("chosen".into()),
        kind: RuleKind::Text,
    };
    let format = Format {
        name: "pair".into(),
        parts: vec![turns, chosen],
        ..Format::default()
    };
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("rows.jsonl");
    let line = |prompt: &str| {
        format!("{{\"prompt\": [{{\"content\": \"{prompt}\"}}], \"chosen\": \"yes\"}}\n")
    };
    fs::write(&path, line("one") + &line("two") + &line("one")).expect("written");
    for (also, expected) in [(vec![], [0, 0, 0]), (vec!["prompt".to_owned()], [0, 1, 0])] {
        let reading = Reading {
            on: vec!["chosen".into()],
            also,
            ..Reading::default()
        };
        let settings = Settings {
            reading,
            ..Settings::default()
        };
        let paths = [path.clone()];
        let formats = std::slice::from_ref(&format);
        let decisions = decided(&paths, formats, &settings, folder.path());
        assert_eq!(decisions.witness, expected);
    }
}

#[test]
fn a_stopped_run_says_so() {
    let watch = Watch::default();
    watch.stop();
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("rows.jsonl");
    fs::write(&path, "{}\n").expect("written");
    for copy in [false, true] {
        let settings = Settings {
            reading: Reading {
                copy,
                ..Reading::default()
            },
            ..Settings::default()
        };
        let outcome = decide(
            std::slice::from_ref(&path),
            &[text_format()],
            &settings,
            folder.path(),
            None,
            &watch,
        );
        assert!(matches!(outcome, Err(Error::Stopped)));
    }
}

#[test]
fn an_empty_file_does_not_change_how_the_others_are_compared() {
    let folder = TempDir::new().expect("a temporary folder");
    let contents = [("a", ""), ("b", "{\"text\": \"one\"}\n"), ("c", "bad\n")];
    let paths = contents.map(|(name, content)| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        path
    });
    let record = Format {
        name: "record".into(),
        ..Format::default()
    };
    let formats = [text_format(), record];
    let decisions = decided(&paths, &formats, &Settings::default(), folder.path());
    assert_eq!(
        (decisions.shingling.ngram, decisions.shingling.alike),
        (5, Alike::Whole)
    );
    assert!(
        decisions
            .corpus
            .layouts
            .iter()
            .all(|layout| layout.name() == "text")
    );
}
