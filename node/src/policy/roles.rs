//! Constant tables over [`Permission`]: what a robot can be given, what each built-in role holds, and what a public
//! project shows to everyone. As Harbor's, pair by pair.

use super::permission::{Permission, Resource, Verb};

macro_rules! pairs {
    ($($resource:ident: $($verb:ident)+;)+) => {
        &[$($(Permission::new(Resource::$resource, Verb::$verb),)+)+]
    };
}

/// Number of a role every installation has.
pub const PROJECT_ADMIN: u32 = 1;
/// Number of a role every installation has.
pub const DEVELOPER: u32 = 2;
/// Number of a role every installation has.
pub const GUEST: u32 = 3;
/// Number of a role every installation has.
pub const MAINTAINER: u32 = 4;
/// Number of a role every installation has.
pub const LIMITED_GUEST: u32 = 5;

/// The built-in roles, by falling power.
pub const ROLES: [u32; 5] = [PROJECT_ADMIN, MAINTAINER, DEVELOPER, GUEST, LIMITED_GUEST];

/// The name of a built-in role; `None` for any other number.
#[must_use]
pub const fn role_name(role_id: u32) -> Option<&'static str> {
    match role_id {
        PROJECT_ADMIN => Some("projectAdmin"),
        DEVELOPER => Some("developer"),
        GUEST => Some("guest"),
        MAINTAINER => Some("maintainer"),
        LIMITED_GUEST => Some("limitedGuest"),
        _ => None,
    }
}

/// What a built-in role may do in its project; nothing for any other number.
#[must_use]
pub const fn role_permissions(role_id: u32) -> &'static [Permission] {
    match role_id {
        PROJECT_ADMIN => OF_PROJECT_ADMIN,
        DEVELOPER => OF_DEVELOPER,
        GUEST => OF_GUEST,
        MAINTAINER => OF_MAINTAINER,
        LIMITED_GUEST => OF_LIMITED_GUEST,
        _ => &[],
    }
}

/// What everyone, logged in or not, may do in a public project.
pub const PUBLIC_PROJECT: &[Permission] = pairs! {
    Project: Read;
    Label: Read List;
    Repository: List Pull;
    Artifact: Read List;
    Tag: List;
    Accessory: List;
    ArtifactAddition: Read;
    Scan: Read;
    Scanner: Read;
};

const OF_PROJECT_ADMIN: &[Permission] = pairs! {
    Project: Read Update Delete;
    Member: Create Read Update Delete List;
    Metadata: Create Read Update Delete;
    Configuration: Read Update;
    Log: List;
    Label: Create Read Update Delete List;
    Quota: Read;
    Repository: Create Read Update Delete List Pull Push;
    Artifact: Create Read Delete List;
    Tag: Create Delete List;
    Accessory: List;
    ArtifactAddition: Read;
    ArtifactLabel: Create Delete;
    TagRetention: Create Read Update Delete List Operate;
    ImmutableTag: Create Update Delete List;
    Robot: Create Read Update Delete List;
    NotificationPolicy: Create Read Update Delete List;
    Scan: Create Read Stop;
    Sbom: Create Read Stop;
    Scanner: Create Read;
    PreheatPolicy: Create Read Update Delete List;
    ExportCve: Create Read List;
};

const OF_MAINTAINER: &[Permission] = pairs! {
    Project: Read;
    Member: Read List;
    Metadata: Read;
    Configuration: Read;
    Label: Create Read Update Delete List;
    Quota: Read;
    Repository: Create Read Update Delete List Pull Push;
    Artifact: Create Read Delete List;
    Tag: Create Delete List;
    Accessory: List;
    ArtifactAddition: Read;
    ArtifactLabel: Create Delete;
    TagRetention: Create Read Update Delete List Operate;
    ImmutableTag: Create Update Delete List;
    Robot: Read List;
    NotificationPolicy: Read List;
    Scan: Create Read Stop;
    Sbom: Create Read Stop;
    Scanner: Read;
    ExportCve: Create Read List;
};

const OF_DEVELOPER: &[Permission] = pairs! {
    Project: Read;
    Member: Read List;
    Configuration: Read;
    Label: Read List;
    Quota: Read;
    Repository: Create Read Update List Pull Push;
    Artifact: Create Read List;
    Tag: Create List;
    Accessory: List;
    ArtifactAddition: Read;
    ArtifactLabel: Create Delete;
    TagRetention: Create Read Update Delete List Operate;
    Robot: Read List;
    Scan: Read;
    Sbom: Read;
    Scanner: Read;
    ExportCve: Create Read List;
};

const OF_GUEST: &[Permission] = pairs! {
    Project: Read;
    Member: Read List;
    Configuration: Read;
    Label: Read List;
    Quota: Read;
    Repository: Read List Pull;
    Artifact: Read List;
    Tag: List;
    Accessory: List;
    ArtifactAddition: Read;
    Robot: Read List;
    Scan: Read;
    Sbom: Read;
    Scanner: Read;
};

const OF_LIMITED_GUEST: &[Permission] = pairs! {
    Project: Read;
    Configuration: Read;
    Quota: Read;
    Repository: Read List Pull;
    Artifact: Read List;
    Tag: List;
    Accessory: List;
    ArtifactAddition: Read;
    Scan: Read;
    Sbom: Read;
    Scanner: Read;
};

/// What a robot can be given over the system.
pub const SYSTEM_VOCABULARY: &[Permission] = pairs! {
    AuditLog: List;
    PreheatInstance: Read Create Delete List Update;
    Project: List Create;
    ReplicationPolicy: Read Create Delete List Update;
    Replication: Read Create List;
    ReplicationAdapter: List;
    Registry: Read Create Delete List Update;
    ScanAll: Read Update Stop Create;
    SystemVolumes: Read;
    GarbageCollection: Read Create List Update Stop;
    PurgeAudit: Read Create List Update Stop;
    JobserviceMonitor: List Stop;
    Scanner: Read Create Delete List Update;
    Label: Read Create Delete Update;
    SecurityHub: Read List;
    Catalog: Read;
    Quota: Read List Update;
    Robot: Create Read List Delete;
    User: Create Read Update List Delete;
    LdapUser: Create List;
    UserGroup: Create Read Update List Delete;
};

/// What a robot can be given in a project.
pub const PROJECT_VOCABULARY: &[Permission] = pairs! {
    Log: List;
    Project: Read Delete Update;
    Metadata: Read Create Delete List Update;
    Repository: Read Update Delete List Pull Push;
    Artifact: Read Create List Delete;
    Scan: Create Read Stop;
    Sbom: Create Stop Read;
    Tag: Create List Delete;
    Accessory: List;
    ArtifactAddition: Read;
    ArtifactLabel: Create Delete;
    Scanner: Create Read;
    PreheatPolicy: Read Create Delete List Update;
    ImmutableTag: Create Delete List Update;
    NotificationPolicy: Read Create Delete List Update;
    TagRetention: Read Create Delete List Update;
    Label: Read Create Delete List Update;
    Quota: Read;
    Robot: Create Read List Delete;
    ExportCve: Create Read;
    Member: Create Read Update List Delete;
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Letters as in the role table of the published comparison: C R U D L, p(ull), P(ush), o(perate), s(top).
    const TABLE: &[(Resource, [&str; 5])] = &[
        (Resource::Project, ["RUD", "R", "R", "R", "R"]),
        (Resource::Member, ["CRUDL", "RL", "RL", "RL", ""]),
        (Resource::Metadata, ["CRUD", "R", "", "", ""]),
        (Resource::Configuration, ["RU", "R", "R", "R", "R"]),
        (Resource::Log, ["L", "", "", "", ""]),
        (Resource::Label, ["CRUDL", "CRUDL", "RL", "RL", ""]),
        (Resource::Quota, ["R", "R", "R", "R", "R"]),
        (Resource::Repository, ["CRUDLpP", "CRUDLpP", "CRULpP", "RLp", "RLp"]),
        (Resource::Artifact, ["CRDL", "CRDL", "CRL", "RL", "RL"]),
        (Resource::Tag, ["CDL", "CDL", "CL", "L", "L"]),
        (Resource::Accessory, ["L", "L", "L", "L", "L"]),
        (Resource::ArtifactAddition, ["R", "R", "R", "R", "R"]),
        (Resource::ArtifactLabel, ["CD", "CD", "CD", "", ""]),
        (Resource::TagRetention, ["CRUDLo", "CRUDLo", "CRUDLo", "", ""]),
        (Resource::ImmutableTag, ["CUDL", "CUDL", "", "", ""]),
        (Resource::Robot, ["CRUDL", "RL", "RL", "RL", ""]),
        (Resource::NotificationPolicy, ["CRUDL", "RL", "", "", ""]),
        (Resource::Scan, ["CRs", "CRs", "R", "R", "R"]),
        (Resource::Sbom, ["CRs", "CRs", "R", "R", "R"]),
        (Resource::Scanner, ["CR", "R", "R", "R", "R"]),
        (Resource::PreheatPolicy, ["CRUDL", "", "", "", ""]),
        (Resource::ExportCve, ["CRL", "CRL", "CRL", "", ""]),
    ];

    fn verb(letter: char) -> Verb {
        match letter {
            'C' => Verb::Create,
            'R' => Verb::Read,
            'U' => Verb::Update,
            'D' => Verb::Delete,
            'L' => Verb::List,
            'p' => Verb::Pull,
            'P' => Verb::Push,
            'o' => Verb::Operate,
            's' => Verb::Stop,
            other => panic!("no verb {other}"),
        }
    }

    #[test]
    fn the_roles_are_the_published_table() {
        for (column, role) in ROLES.into_iter().enumerate() {
            let expected: BTreeSet<_> = TABLE
                .iter()
                .flat_map(|(resource, cells)| cells[column].chars().map(|c| Permission::new(*resource, verb(c))))
                .collect();
            let held: BTreeSet<_> = role_permissions(role).iter().copied().collect();
            assert_eq!(held, expected, "{:?}", role_name(role));
            assert_eq!(held.len(), role_permissions(role).len(), "no pair stands twice");
        }
    }

    #[test]
    fn each_role_holds_what_the_next_weaker_holds() {
        for pair in ROLES.windows(2) {
            let (more, less) = (role_permissions(pair[0]), role_permissions(pair[1]));
            assert!(less.iter().all(|permission| more.contains(permission)), "{pair:?}");
        }
    }

    #[test]
    fn a_public_project_shows_no_more_than_a_guest_sees() {
        assert!(PUBLIC_PROJECT.iter().all(|permission| role_permissions(GUEST).contains(permission)));
        assert!(PUBLIC_PROJECT.iter().all(|p| matches!(p.action, Verb::Read | Verb::List | Verb::Pull)));
        assert_eq!(PUBLIC_PROJECT.len(), 12);
    }

    #[test]
    fn numbers_that_are_no_built_in_role_hold_nothing() {
        for none in [0, 6, u32::MAX] {
            assert!(role_permissions(none).is_empty() && role_name(none).is_none());
        }
    }

    #[test]
    fn robots_can_be_given_seventy_pairs_of_each_kind() {
        for vocabulary in [SYSTEM_VOCABULARY, PROJECT_VOCABULARY] {
            assert_eq!(vocabulary.len(), 70);
            assert_eq!(vocabulary.iter().collect::<BTreeSet<_>>().len(), 70, "no pair stands twice");
            assert!(vocabulary.iter().all(|p| p.action != Verb::ScannerPull), "the hidden right is not offered");
        }
    }

    #[test]
    fn words_read_back() {
        for resource in Resource::ALL {
            assert_eq!(Resource::from_word(resource.as_str()), Some(*resource));
        }
        for verb in Verb::ALL {
            assert_eq!(Verb::from_word(verb.as_str()), Some(*verb));
        }
        assert_eq!(Permission::from_words("tag", "create").map(|p| p.to_string()), Some("tag:create".into()));
        for (resource, action) in [("*", "pull"), ("tag", "*"), ("", ""), ("Tag", "create"), ("helm-chart", "read")] {
            assert_eq!(Permission::from_words(resource, action), None);
        }
    }
}
