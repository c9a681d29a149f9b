//! Exit codes: part of the interface, for scripts.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It failed, and none of the others says why.
    Failure = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// What was named is not there.
    NotFound = 3,
    /// Not allowed, or not logged in.
    Denied = 4,
    /// It is there already, or changed meanwhile.
    Conflict = 5,
    /// The node can't be reached.
    Unreachable = 6,
    /// It works, but not as it should.
    Degraded = 7,
    /// Something is not what its digest says.
    VerificationFailed = 8,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::Failure,
        Self::Usage,
        Self::NotFound,
        Self::Denied,
        Self::Conflict,
        Self::Unreachable,
        Self::Degraded,
        Self::VerificationFailed,
    ];

    /// The number the process ends with.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// What it means, for the reference.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Failure => "failed, for a reason none of the others says",
            Self::Usage => "the command line or the configuration is wrong",
            Self::NotFound => "what was named is not there",
            Self::Denied => "not allowed, or not logged in",
            Self::Conflict => "it is there already, or changed meanwhile",
            Self::Unreachable => "the node can't be reached",
            Self::Degraded => "it works, but not as it should",
            Self::VerificationFailed => "something is not what its digest says",
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_documented() {
        let numbers: Vec<u8> = Exit::ALL.into_iter().map(Exit::number).collect();
        assert_eq!(numbers, (0..=8).collect::<Vec<u8>>());
        assert_eq!((Exit::NotFound.number(), Exit::Unreachable.number(), Exit::VerificationFailed.number()), (3, 6, 8));
    }
}
