//! Results as the dictionaries that `_native.pyi` declares.

use std::collections::BTreeMap;

use curatekit_core as core;
use pyo3::prelude::*;

#[derive(IntoPyObject)]
pub struct FileSummary {
    name: String,
    format: String,
    layout: &'static str,
    compression: &'static str,
    bytes: usize,
    rows: usize,
    blank_lines: u64,
    bom: bool,
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
    recall: &'static str,
    bands: usize,
    band_slots: usize,
    median_shingles: u32,
    rows_without_text: u64,
    rows_without_tokens: u64,
    duplicate_keys: u64,
    lone_surrogates: u64,
    differ_elsewhere: u64,
}

impl Summary {
    pub fn of(decisions: &core::Decisions) -> Self {
        let counts = &decisions.counts;
        let shards = decisions
            .corpus
            .rows
            .shards
            .iter()
            .zip(&decisions.corpus.layouts);
        Self {
            rows: decisions.state.len(),
            kept: decisions.count(core::State::Kept),
            exact_duplicates: decisions.count(core::State::ExactDuplicate),
            near_duplicates: decisions.count(core::State::NearDuplicate),
            quarantined: decisions.problems_by_id(),
            files: shards
                .map(|(shard, layout)| FileSummary::of(shard, layout))
                .collect(),
            ngram: decisions.shingling.ngram,
            alike: match decisions.shingling.alike {
                core::Alike::EachRole => "each-role",
                core::Alike::Whole => "whole",
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
        }
    }
}

impl FileSummary {
    fn of(shard: &core::Shard, layout: &core::Layout) -> Self {
        Self {
            name: shard.source.path.to_string_lossy().into_owned(),
            format: layout.name().to_owned(),
            layout: shard.framing.name(),
            compression: shard.source.compression.name(),
            bytes: shard.source.bytes().len(),
            rows: shard.rows,
            blank_lines: shard.blank_lines,
            bom: shard.bom,
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
