//! Kinds of peers, and how many of each a site keeps. [`Slots`] is the caller's plan, [`Shares`] what follows from it.

use crate::roster::Place;

/// What a peer is to this site, by the places both were granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Behind the same uplink.
    Lan,
    /// May issue grants, and not behind the same uplink.
    Authority,
    /// None of these, and of another region.
    Far,
    /// None of these, and of the same region.
    Near,
}

impl Kind {
    /// All kinds, in the order in which their slots are filled.
    pub const ALL: [Self; 4] = [Self::Lan, Self::Authority, Self::Far, Self::Near];

    /// What a peer at `there` is to a site at `here`.
    #[must_use]
    pub fn of(here: &Place, there: &Place) -> Self {
        if here.uplink.is_some() && here.uplink == there.uplink {
            Self::Lan
        } else if there.is_authority {
            Self::Authority
        } else if here.region != there.region {
            Self::Far
        } else {
            Self::Near
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// How many neighbours of each kind a site plans for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Behind the same uplink.
    pub lan: u8,
    /// Of the same region.
    pub near: u8,
    /// Of other regions.
    pub far: u8,
    /// Authorities.
    pub authority: u8,
    /// Most links beyond these for narrow audiences; half of them may be taken by members that ask.
    pub audience: u8,
    /// Keeps to the plan strictly and speaks seldom, because traffic is paid by the byte.
    pub is_metered: bool,
}

impl Slots {
    /// Eight, and up to twelve when others ask.
    #[must_use]
    pub const fn usual() -> Self {
        Self { lan: 2, near: 2, far: 3, authority: 1, audience: 16, is_metered: false }
    }

    /// Three, never more but for audiences.
    #[must_use]
    pub const fn metered() -> Self {
        Self { lan: 1, near: 1, far: 1, authority: 0, audience: 4, is_metered: true }
    }
}

/// The plan by kind: whose slots are whose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    /// Slots of each kind.
    pub(super) plan: [usize; 4],
    /// Of these, for peers this site chose.
    pub(super) own: [usize; 4],
    /// Kept for peers of the kind that ask, against those of other kinds.
    pub(super) asked: [usize; 4],
    /// All slots.
    pub(super) total: usize,
    /// Most neighbours outside audiences.
    pub(super) most: usize,
    /// Most links for audiences beyond those.
    pub(super) audience: usize,
    /// Whether `own` and `asked` stand; a test shows what happens without.
    pub(super) is_guarded: bool,
}

impl Shares {
    pub(super) fn new(slots: Slots, is_guarded: bool) -> Self {
        let mut plan = [0; 4];
        for (kind, count) in [
            (Kind::Lan, slots.lan),
            (Kind::Near, slots.near),
            (Kind::Far, slots.far),
            (Kind::Authority, slots.authority),
        ] {
            plan[kind.index()] = usize::from(count);
        }
        let total: usize = plan.iter().sum();
        let most = if slots.is_metered { total } else { total + total / 2 };
        let mut own = plan.map(|count: usize| count.div_ceil(2));
        let mut asked = plan.map(|count| count / 2);
        // Where only one slot is planned it is this site's own; the room beyond the plan lets one in all the same.
        for kind in Kind::ALL.map(Kind::index) {
            let reserved: usize = own.iter().chain(&asked).sum();
            if plan[kind] > 0 && asked[kind] == 0 && reserved < most {
                asked[kind] = 1;
            }
        }
        if !is_guarded {
            (own, asked) = ([0; 4], [0; 4]);
        }
        Self { plan, own, asked, total, most, audience: usize::from(slots.audience), is_guarded }
    }

    /// How many this site chooses itself at the least, of whatever kind.
    pub(super) fn all_own(&self) -> usize {
        self.own.iter().sum()
    }
}
