//! How the engine that forgets lets go of bytes: at once when they are unlinked, or when a candidate's turn comes.

use protocol::{Digest, RepositoryName, Timestamp};

use super::State;
use crate::storage::meta::{Act, Candidate, UnlinkedBlob, Verdict, What};

impl State {
    pub(super) fn unlink(&mut self, name: &RepositoryName, digest: &Digest, due: Timestamp, act: &Act) -> UnlinkedBlob {
        let Some(repository) = self.repositories.get_mut(name) else { return UnlinkedBlob::Absent };
        if !repository.links.contains_key(digest) {
            return UnlinkedBlob::Absent;
        }
        if let Some(by) = repository.pinned_by(digest) {
            return UnlinkedBlob::Pinned { by };
        }
        repository.links.remove(digest);
        self.orphan(digest, due);
        self.tell(act, What::BlobUnlinked { repository: name.clone(), digest: *digest });
        UnlinkedBlob::Done
    }

    pub(super) fn judge(&self, candidate: &Candidate, now: Timestamp) -> Verdict {
        let digest = &candidate.digest;
        let Some(held) = self.held.get(digest) else { return Verdict::Needed };
        let size = held.row.size;
        let Some(name) = &candidate.repository else {
            return match self.is_held(digest) {
                true => Verdict::Needed,
                false if held.keep > now => Verdict::Leased(held.keep),
                false => Verdict::Free { size },
            };
        };
        let Some(repository) = self.repository(name) else { return Verdict::Needed };
        match repository.links.get(digest) {
            None => Verdict::Needed,
            Some(_) if repository.pinned_by(digest).is_some() => Verdict::Needed,
            Some(lease) if *lease > now => Verdict::Leased(*lease),
            Some(_) => {
                let others = self.repositories.iter().any(|(other, r)| other != name && r.holds(digest));
                if others || repository.manifests.contains_key(digest) {
                    Verdict::Unlink
                } else {
                    Verdict::Free { size }
                }
            }
        }
    }

    pub(super) fn collect(&mut self, candidate: &Candidate, now: Timestamp) -> Verdict {
        let verdict = self.judge(candidate, now);
        self.candidates.remove(candidate);
        match &verdict {
            Verdict::Needed => {}
            Verdict::Leased(until) => self.nominate(*until, &candidate.digest, candidate.repository.as_ref()),
            Verdict::Unlink | Verdict::Free { .. } => {
                let repository = candidate.repository.as_ref().and_then(|name| self.repositories.get_mut(name));
                if let Some(repository) = repository {
                    repository.links.remove(&candidate.digest);
                }
                if matches!(verdict, Verdict::Free { .. }) {
                    self.held.remove(&candidate.digest);
                }
            }
        }
        verdict
    }
}
