//! Rows that are written while others are decided: in the same files, byte for byte, as afterwards.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use curatekit_core::{
    Ahead, Alike, Decisions, Error, Format, Method, Packing, PartRule, Priority, Recall, RoleRule,
    RuleKind, Settings, State, Watch, Written, decide,
};
use tempfile::TempDir;

const STEMS: [&str; 3] = ["kept", "removed", "quarantine"];

fn format() -> Format {
    let part = |role: &str| PartRule {
        path: role.into(),
        role: RoleRule::Fixed(role.into()),
        kind: RuleKind::Text,
    };
    Format {
        name: "turns".into(),
        parts: vec![part("user"), part("assistant")],
        ..Format::default()
    }
}

/// Rows of which some are the same in other letters, some the same, some broken; the last ones, if there are
/// any, fill in a template.
fn rows(count: u64, templates: u64) -> String {
    let mut lines = String::new();
    let words = |seed: u64, count: u64| {
        let word = |at: u64| (seed * 7919 + at * at * 31 + at) % 99_991;
        let words: Vec<String> = (0..count).map(|at| format!("word{}", word(at))).collect();
        words.join(" ")
    };
    for row in 0..count {
        let text = words(row / 3, 90);
        match row % 12 {
            1 | 4 | 7 => row_of(&text.to_uppercase(), "Yes!", &mut lines),
            5 => lines.push_str("{\"user\": broken}\n"),
            _ => row_of(&text, "yes", &mut lines),
        }
    }
    for row in 0..templates {
        let slot = words((1 << 22) + row, 2);
        let text = format!("{} {slot} {}", words(1 << 20, 40), words(1 << 21, 40));
        row_of(&text, "yes", &mut lines);
    }
    lines
}

fn row_of(user: &str, assistant: &str, lines: &mut String) {
    let row = writeln!(lines, r#"{{"user": "{user}", "assistant": "{assistant}"}}"#);
    row.expect("memory");
}

struct Run {
    decisions: Decisions,
    ahead: Ahead,
    folder: TempDir,
}

fn packing(shard_bytes: Option<u64>, zstd: bool) -> Packing {
    Packing {
        shard_bytes,
        zstd,
        behind: true,
    }
}

fn settings(alike: Alike) -> Settings {
    Settings {
        alike: Some(alike),
        recall: Some(Recall::Bands),
        threads: 3,
        ..Settings::default()
    }
}

fn run(lines: &str, settings: &Settings, packing: Packing, with_removed: bool) -> Run {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("rows.jsonl");
    fs::write(&path, lines).expect("written");
    let stems = STEMS.map(str::to_owned);
    let mut ahead = Ahead::new(folder.path().to_owned(), stems, packing, with_removed);
    let (spool, watch) = (folder.path(), Watch::default());
    let decisions = decide(
        &[path],
        &[format()],
        settings,
        spool,
        Some(&mut ahead),
        &watch,
    );
    Run {
        decisions: decisions.expect("a good run"),
        ahead,
        folder,
    }
}

fn plain(lines: &str, settings: &Settings) -> Run {
    run(lines, settings, packing(None, false), true)
}

fn contents(folder: &Path, files: &[Written]) -> Vec<Vec<u8>> {
    let read = |file: &Written| fs::read(folder.join(&file.name)).expect("read");
    files.iter().map(read).collect()
}

/// What is written ahead is what [`curatekit_core::Corpus::copy_rows`] writes of what was decided.
fn check(run: &mut Run, packing: Packing, with_removed: bool) {
    let watch = Watch::default();
    let fates = run
        .ahead
        .finish(&watch)
        .expect("written")
        .expect("written ahead");
    let progress = watch.progress();
    assert_eq!(
        progress[0].1, progress[0].2,
        "all that is to be done is done"
    );
    let again = TempDir::new().expect("a temporary folder");
    let decisions = &run.decisions;
    let of = |wanted: &[State]| -> Vec<usize> {
        let rows = decisions.state.iter().enumerate();
        let rows = rows.filter(|(_, state)| wanted.contains(state));
        rows.map(|(row, _)| row).collect()
    };
    let removed = if with_removed {
        of(&[State::ExactDuplicate, State::NearDuplicate])
    } else {
        Vec::new()
    };
    let rows = [of(&[State::Kept]), removed, of(&[State::Quarantined])];
    for ((rows, stem), ahead) in rows.iter().zip(STEMS).zip(fates) {
        let corpus = &decisions.corpus;
        let after = corpus.copy_rows(rows, false, again.path(), stem, packing, &watch);
        let after = after.expect("copied");
        assert_eq!(ahead, after, "{stem}");
        let (ahead, after) = (
            contents(run.folder.path(), &ahead),
            contents(again.path(), &after),
        );
        assert!(ahead == after, "{stem}");
    }
}

#[test]
fn rows_are_written_ahead_as_they_are_afterwards() {
    let lines = rows(9000, 0);
    for (shard_bytes, zstd, with_removed) in [
        (None, false, true),
        (None, false, false),
        (Some(100_000), false, true),
        (Some(300_000), true, true),
        (None, true, true),
    ] {
        let packing = packing(shard_bytes, zstd);
        let mut run = run(&lines, &settings(Alike::Whole), packing, with_removed);
        assert!(run.decisions.count(State::NearDuplicate) > 1000);
        assert!(run.decisions.count(State::ExactDuplicate) > 500);
        assert!(run.decisions.count(State::Quarantined) > 500);
        check(&mut run, packing, with_removed);
    }
}

#[test]
fn rows_are_on_their_way_before_all_are_decided() {
    let mut run = plain(&rows(30_000, 0), &settings(Alike::EachRole));
    let kept = run.folder.path().join("kept.jsonl");
    // What comes after that is written by another thread.
    assert!(fs::metadata(kept).expect("there").len() >= 4 << 20);
    check(&mut run, packing(None, false), true);
}

/// Once a pair asks for the family of a text, rows may be decided otherwise in the next pass.
#[test]
fn a_question_about_a_family_ends_what_is_written_ahead() {
    for (before, templates) in [(9000, 60), (9000, 9), (0, 60), (2700, 60)] {
        let lines = rows(before, templates) + &rows(before, 0);
        let mut run = plain(&lines, &settings(Alike::Consensus));
        assert!(!run.decisions.families.is_empty(), "{before} {templates}");
        check(&mut run, packing(None, false), true);
    }
}

#[test]
fn nothing_is_written_ahead_of_what_may_still_be_decided() {
    let lines = rows(3000, 0);
    let usual = settings(Alike::Whole);
    let cases = [
        ("one thread", {
            let threads = 1;
            Settings {
                threads,
                ..usual.clone()
            }
        }),
        ("another order", {
            let keep = Priority::Longest;
            Settings {
                keep,
                ..usual.clone()
            }
        }),
        ("exact", {
            let method = Method::Exact;
            Settings {
                method,
                ..usual.clone()
            }
        }),
    ];
    for (name, settings) in cases {
        let mut run = plain(&lines, &settings);
        let written = run.ahead.finish(&Watch::default()).expect("nothing to do");
        assert_eq!(written, None, "{name}");
        assert!(!run.folder.path().join("kept.jsonl").exists(), "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_written_ends_the_run() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("rows.jsonl");
    fs::write(&path, rows(30_000, 0)).expect("written");
    let kept = folder.path().join("kept.jsonl");
    std::os::unix::fs::symlink("/dev/full", kept).expect("linked");
    let stems = STEMS.map(str::to_owned);
    let mut ahead = Ahead::new(folder.path().to_owned(), stems, packing(None, false), true);
    let outcome = decide(
        &[path],
        &[format()],
        &settings(Alike::Whole),
        folder.path(),
        Some(&mut ahead),
        &Watch::default(),
    );
    assert!(matches!(outcome, Err(Error::Write { path, .. }) if path.ends_with("kept.jsonl")));
    let written = ahead.finish(&Watch::default()).expect("nothing is left");
    assert_eq!(written, None);
}

#[test]
fn an_input_that_changes_meanwhile_is_noticed() {
    let mut run = plain(&rows(3000, 0), &settings(Alike::Whole));
    let path = run.folder.path().join("rows.jsonl");
    fs::write(path, rows(3000, 0) + "{}").expect("written");
    let written = run.ahead.finish(&Watch::default());
    assert!(matches!(written, Err(Error::Changed { .. })));
}

#[test]
fn a_run_that_is_stopped_writes_no_more() {
    let mut run = plain(&rows(3000, 0), &settings(Alike::Whole));
    let watch = Watch::default();
    watch.stop();
    assert!(matches!(run.ahead.finish(&watch), Err(Error::Stopped)));
}
