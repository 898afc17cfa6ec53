//! Deduplication of JSON Lines datasets, exact and near, in which every removal can be shown.
//!
//! ```text
//! inputs ─ source ─ jsonl ──► rows 0..n             maps; lines (of all threads), arrays, objects
//!   read    json, parts       every row validated, its text found by format and role
//!           blocks, unescape  its strings, 64 bytes at a time
//!           ascii, word_hash  words found and hashed, many at a time
//!           instructions      how many: what the machine runs
//!           tokens, ngrams    words and hashed runs of words
//!           grouping          which texts of a row are compared together
//!           shingles, sorter  these as sets of such runs
//!           recall            what was made of texts that come back
//!           key_role          the role in which rows differ most proposes candidates
//!           signer            of each row the sizes of its sets, and what follows
//!           minhash, bands    signatures as band keys
//!           spool, block_file where all of this is kept for the next stages
//!           sketch, sketches  a few bits an element, where all text is one set
//!   exact   repeats           first row of each content, compared byte for byte
//!   near    candidates        pairs that may be alike: buckets of bands, or of rare shingles (prefix)
//!           cache, verify     sets made again, and their exact similarities, in integers
//!           judge             which differences are content
//!           families, search  texts that hang together
//!           consensus, hunks  what they have in common: slots and edits
//!           cluster           keep-first, in order of priority
//!   records, stats            texts for others to read, to count in, and to say otherwise
//!   copy, evidence            rows to kept, removed, quarantine; a line for each that is not kept
//!           ahead             the same while later rows are still compared
//!           output, sink      their files; what goes past the page cache
//!           hashes, xxh3      and their hashes
//!   gaps                      what stands between rows, so that the inputs can be put together again
//! ```
//!
//! The same bytes and settings give the same decisions, for any number of threads and any memory.
//! The crate prints nothing, and has no global state but what it found out of the machine.

#[cfg(test)]
mod agreement;
mod ahead;
mod ascii;
mod bands;
mod block_file;
mod blocks;
mod cache;
mod candidates;
mod cluster;
mod consensus;
mod copy;
mod corpus;
mod decisions;
mod dedup;
mod error;
mod evidence;
mod exact;
mod families;
mod files;
mod format;
mod gaps;
mod grouping;
mod hashes;
mod hunks;
mod instructions;
mod json;
mod jsonl;
mod judge;
#[doc(hidden)]
pub mod kernels;
mod key_role;
mod labels;
mod later;
mod lines;
mod lives;
mod minhash;
mod near;
mod ngrams;
#[cfg(test)]
mod oracle;
mod output;
mod parts;
mod prefix;
mod priority;
mod read;
mod recall;
mod records;
mod repeats;
mod rest;
mod search;
mod settings;
mod shingles;
mod signer;
mod sink;
mod sketch;
mod sketches;
mod sorter;
mod source;
mod spool;
mod stats;
mod tally;
mod tape;
mod template;
mod tokens;
mod unescape;
mod unicode;
mod value;
mod verify;
mod watch;
mod word_hash;
mod xxh3;

pub use ahead::Ahead;
pub use bands::Banding;
pub use corpus::{Buffer, Corpus, Read, Reading, texts_of};
pub use decisions::{Counts, Decisions, FamilySummary, Fates, PairSummary, State, Verdict};
pub use dedup::{decide, decide_among, pool};
pub use error::{Error, Problem, Result};
pub use files::{Descriptor, Files, WHEREABOUTS};
pub use format::{Format, Layout, PartRule, RoleRule, RuleKind};
pub use hashes::HASHED;
pub use json::validate;
pub use jsonl::{Framing, Rows, Shard};
pub use judge::Rule;
pub use later::{Made, Span};
pub use output::{Packing, STRIDE, Written, unpack};
pub use parts::{Part, Parts, Selection};
pub use priority::Priority;
pub use records::Block;
pub use settings::{Method, Numbers, Recall, Settings};
pub use shingles::{Alike, Shingling};
pub use source::{Compression, Source};
pub use stats::Statistics;
pub use tape::Tape;
pub use unicode::VERSION as UNICODE_VERSION;
pub use value::Value;
pub use verify::Overlap;
pub use watch::{Stage, Watch};
