//! Results as the dictionaries that `_native.pyi` declares.

use std::collections::BTreeMap;
use std::sync::Arc;

use curatekit_core as core;
use pyo3::prelude::*;

#[derive(IntoPyObject)]
pub struct FileSummary {
    name: String,
    format: String,
    framing: &'static str,
    compression: &'static str,
    bytes: usize,
    rows: usize,
    kept: usize,
    exact_duplicates: usize,
    near_duplicates: usize,
    quarantined: usize,
    blank_lines: u64,
    bom: bool,
}

/// An input, as it was read.
#[derive(IntoPyObject)]
pub struct Input {
    name: String,
    format: String,
    framing: &'static str,
    compression: &'static str,
    bytes: usize,
    xxh3_128: String,
    first_row: usize,
    rows: usize,
}

impl Input {
    pub fn all(corpus: &core::Corpus) -> Vec<Self> {
        let shards = corpus.rows.shards.iter().zip(&corpus.layouts);
        let told = |(shard, layout): (&core::Shard, &Arc<core::Layout>)| Self {
            name: shard.source.path.to_string_lossy().into_owned(),
            format: layout.name().to_owned(),
            framing: shard.framing.name(),
            compression: shard.source.compression.name(),
            bytes: shard.source.bytes().len(),
            xxh3_128: hexadecimal(shard.hash),
            first_row: shard.first_row,
            rows: shard.rows,
        };
        shards.map(told).collect()
    }
}

/// A file that was written.
#[derive(IntoPyObject)]
pub struct WrittenFile {
    name: String,
    rows: u64,
    bytes: u64,
    xxh3_128: String,
    blocks: Vec<String>,
    index: Vec<u64>,
}

impl From<core::Written> for WrittenFile {
    fn from(written: core::Written) -> Self {
        Self {
            name: written.name,
            rows: written.rows,
            bytes: written.bytes,
            xxh3_128: hexadecimal(written.hash),
            blocks: written.blocks.into_iter().map(hexadecimal).collect(),
            index: written.index,
        }
    }
}

fn hexadecimal(hash: u128) -> String {
    format!("{hash:032x}")
}

/// What became of the rows with one label.
#[derive(IntoPyObject)]
pub struct Labelled {
    label: String,
    kept: usize,
    exact_duplicates: usize,
    near_duplicates: usize,
}

#[derive(IntoPyObject)]
pub struct Summary {
    rows: usize,
    kept: usize,
    exact_duplicates: usize,
    near_duplicates: usize,
    quarantined: BTreeMap<&'static str, usize>,
    files: Vec<FileSummary>,
    ngram: usize,
    alike: &'static str,
    numbers: &'static str,
    recall: &'static str,
    bands: usize,
    band_slots: usize,
    median_shingles: u32,
    rows_without_text: u64,
    rows_without_tokens: u64,
    duplicate_keys: u64,
    lone_surrogates: u64,
    differ_elsewhere: u64,
    rows_without_score: u64,
    apart_by_roles: u64,
    apart_by_numbers: u64,
    apart_by_content: u64,
    labels: Vec<Labelled>,
}

impl Summary {
    pub fn of(decisions: &core::Decisions) -> Self {
        let counts = &decisions.counts;
        let shards = decisions
            .corpus
            .rows
            .shards
            .iter()
            .zip(&decisions.corpus.layouts)
            .zip(decisions.by_file());
        Self {
            rows: decisions.state.len(),
            kept: decisions.count(core::State::Kept),
            exact_duplicates: decisions.count(core::State::ExactDuplicate),
            near_duplicates: decisions.count(core::State::NearDuplicate),
            quarantined: decisions.problems_by_id(),
            files: shards
                .map(|((shard, layout), fates)| FileSummary::of(shard, layout, &fates))
                .collect(),
            ngram: decisions.shingling.ngram,
            alike: match decisions.shingling.alike {
                core::Alike::Consensus => "consensus",
                core::Alike::EachRole => "each-role",
                core::Alike::Whole => "whole",
            },
            numbers: match decisions.numbers {
                core::Numbers::Distinct => "distinct",
                core::Numbers::Alike => "alike",
            },
            recall: if decisions.banding.is_some() {
                "bands"
            } else {
                "exact"
            },
            bands: decisions.banding.map_or(0, |banding| banding.bands),
            band_slots: decisions.banding.map_or(0, |banding| banding.slots),
            median_shingles: counts.median_shingles,
            rows_without_text: counts.rows_without_text,
            rows_without_tokens: counts.rows_without_tokens,
            duplicate_keys: counts.duplicate_keys,
            lone_surrogates: counts.lone_surrogates,
            differ_elsewhere: counts.differ_elsewhere,
            rows_without_score: counts.rows_without_score,
            apart_by_roles: counts.apart_by_roles,
            apart_by_numbers: counts.apart_by_numbers,
            apart_by_content: counts.apart_by_content,
            labels: decisions.labels.iter().map(Labelled::of).collect(),
        }
    }
}

impl FileSummary {
    fn of(shard: &core::Shard, layout: &core::Layout, fates: &core::Fates) -> Self {
        Self {
            name: shard.source.path.to_string_lossy().into_owned(),
            format: layout.name().to_owned(),
            framing: shard.framing.name(),
            compression: shard.source.compression.name(),
            bytes: shard.source.bytes().len(),
            rows: shard.rows,
            kept: fates.of(core::State::Kept),
            exact_duplicates: fates.of(core::State::ExactDuplicate),
            near_duplicates: fates.of(core::State::NearDuplicate),
            quarantined: fates.of(core::State::Quarantined),
            blank_lines: shard.blank_lines,
            bom: shard.bom,
        }
    }
}

impl Labelled {
    fn of((label, fates): &(String, core::Fates)) -> Self {
        Self {
            label: label.clone(),
            kept: fates.of(core::State::Kept),
            exact_duplicates: fates.of(core::State::ExactDuplicate),
            near_duplicates: fates.of(core::State::NearDuplicate),
        }
    }
}

/// A template that rows share.
#[derive(IntoPyObject)]
pub struct Family {
    role: Option<String>,
    texts: u32,
    rows: u32,
    template: String,
    pairs_apart: u64,
    edits: u64,
    members: Vec<u32>,
}

impl Family {
    pub fn of(family: &core::FamilySummary) -> Self {
        Self {
            role: family.role.as_ref().map(ToString::to_string),
            texts: family.texts,
            rows: family.rows,
            template: family.template.clone(),
            pairs_apart: family.pairs_apart,
            edits: family.edits,
            members: family.members.clone(),
        }
    }
}

/// A pair of rows that is worth a look.
#[derive(IntoPyObject)]
pub struct Pair {
    row: u32,
    kept: u32,
    verdict: &'static str,
    role: Option<String>,
    shared: u32,
    united: u32,
}

impl Pair {
    pub fn of(pair: &core::PairSummary) -> Self {
        Self {
            row: pair.row,
            kept: pair.kept,
            verdict: match pair.verdict {
                core::Verdict::Removed => "removed",
                core::Verdict::Apart(core::Rule::Roles) => "roles",
                core::Verdict::Apart(core::Rule::Numbers) => "numbers",
                core::Verdict::Apart(core::Rule::Content) => "content",
                core::Verdict::Apart(core::Rule::Threshold) => "threshold",
            },
            role: pair.role.as_ref().map(ToString::to_string),
            shared: pair.shared,
            united: pair.united,
        }
    }
}

/// Why one row could not be judged.
#[derive(IntoPyObject)]
pub struct Problem {
    row: u32,
    file: String,
    line: u64,
    byte: u64,
    reason: &'static str,
    message: String,
}

impl Problem {
    pub fn first(decisions: &core::Decisions, limit: usize) -> Vec<Self> {
        let rows = &decisions.corpus.rows;
        let of = |(row, problem): &(u32, core::Problem)| {
            let at = *row as usize;
            Self {
                row: *row,
                file: rows.shard(at).source.path.to_string_lossy().into_owned(),
                line: rows.line(at),
                byte: rows.offset(at),
                reason: problem.id(),
                message: problem.to_string(),
            }
        };
        decisions.problems.iter().take(limit).map(of).collect()
    }
}
