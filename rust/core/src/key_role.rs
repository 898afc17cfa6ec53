//! The key role: which of a row's groups proposes its candidates.
//!
//! Near-duplicates must be alike in *every* role, so any one role proposes every such pair. The
//! union of all roles would do too, but under a shared system prompt or a boilerplate answer all
//! rows would be candidates of all others. So a survey of the rows finds in which roles they differ
//! most, and each row's signature is that of its most telling one.
//!
//! What a reader would get wrong: two rows are only compared if they have the same roles, so they
//! have the same key role; a role that the survey never met ranks last.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::corpus::{Buffer, Corpus};
use crate::error::Result;
use crate::shingles::{Alike, Group, RowSets, Shingler, Shingling};
use crate::verify::by_role;
use crate::watch::Watch;

/// Rows that the survey looks at, evenly spread.
const SAMPLE: usize = 2048;

/// How alike two rows usually are in a role: elements shared and united, summed over pairs.
type Likeness = (u128, u128);

/// Roles by how alike rows are in them.
#[derive(Debug, Default)]
pub(crate) struct KeyRoles(HashMap<Arc<str>, Likeness>);

impl KeyRoles {
    /// Compare each sampled row with the next; `rows` are those that take part.
    pub(crate) fn survey(
        corpus: &Corpus,
        rows: &[u32],
        shingling: Shingling,
        watch: &Watch,
    ) -> Result<Self> {
        let mut likeness: HashMap<Arc<str>, Likeness> = HashMap::new();
        if shingling.alike == Alike::Whole {
            return Ok(Self(likeness));
        }
        let (mut buffer, mut shingler) = (Buffer::default(), Shingler::default());
        let mut previous = RowSets::default();
        for &row in rows.iter().step_by(rows.len().div_ceil(SAMPLE).max(1)) {
            watch.check()?;
            let Ok(read) = corpus.read(row as usize, &mut buffer) else {
                continue;
            };
            let sets = shingler.sets(&read.parts, shingling);
            let is_shared = |role: &Arc<str>| {
                previous
                    .groups
                    .iter()
                    .any(|group| group.role.as_ref() == Some(role))
            };
            for (role, overlap) in by_role(&sets, &previous)
                .into_iter()
                .filter(|(role, _)| is_shared(role))
            {
                let (shared, united) = likeness.entry(role).or_default();
                *shared += u128::from(overlap.shared);
                *united += u128::from(overlap.united);
            }
            previous = sets;
        }
        Ok(Self(likeness))
    }

    /// The group that proposes a row's candidates, by the roles of all its groups; None if it has none.
    pub(crate) fn key<'r>(
        &self,
        roles: impl ExactSizeIterator<Item = Option<&'r str>>,
    ) -> Option<usize> {
        if roles.len() < 2 {
            return roles.len().checked_sub(1);
        }
        let likeness = |role: Option<&str>| {
            let known = role.and_then(|role| self.0.get(role));
            known.copied().unwrap_or((1, 1))
        };
        let known = roles
            .enumerate()
            .map(|(at, role)| (at, role, likeness(role)));
        let key = known.min_by(|(_, role, one), (_, other_role, other)| {
            let ((shared, united), (other_shared, other_united)) = (one, other);
            let order = (shared * other_united).cmp(&(other_shared * united));
            order.then_with(|| role.cmp(other_role))
        });
        key.map(|(at, ..)| at)
    }

    /// The group that proposes a row's candidates. `sets` has at least one.
    pub(crate) fn of<'s>(&self, sets: &'s RowSets) -> &'s Group {
        let roles = sets.groups.iter().map(|group| group.role.as_deref());
        &sets.groups[self.key(roles).expect("a row with tokens has a group")]
    }
}
