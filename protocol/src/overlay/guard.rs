//! What a site does against neighbours in other hands. No state here; a test leaves one out and shows what it is for.

/// One safeguard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Slots are reserved by kind, and of each kind for peers this site chose.
    Shares,
    /// Places for those that ask go by lot, not to who comes first.
    Lots,
    /// One place is kept for those that are alone.
    Alone,
    /// Of those this site tries, every other one is looked for in the roster, not among those that peers named.
    Roster,
}

/// Those a site has: all, but in a test.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guards {
    left_out: &'static [Guard],
}

impl Guards {
    pub(super) fn has(self, guard: Guard) -> bool {
        !self.left_out.contains(&guard)
    }

    #[cfg(test)]
    pub(super) const fn without(left_out: &'static [Guard]) -> Self {
        Self { left_out }
    }
}
