//! What holds of any history of acts of trust, drawn at random.

use proptest::prelude::*;

use super::*;

/// A random history of acts of trust: who does what to whom.
#[derive(Clone, Debug)]
enum Deed {
    Admit { by: u8, node: u8, rights: u8 },
    Retire { by: u8, node: u8 },
    Narrow { by: u8, node: u8 },
    Compromise { by: u8, node: u8, endorse: bool },
    Suspend { by: u8, node: u8 },
    Tag { by: u8 },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let node = || 0u8..7;
    let deed = prop_oneof![
        (node(), 1u8..7, 0u8..4).prop_map(|(by, node, rights)| Deed::Admit { by, node, rights }),
        (node(), 1u8..7).prop_map(|(by, node)| Deed::Retire { by, node }),
        (node(), 1u8..7).prop_map(|(by, node)| Deed::Narrow { by, node }),
        (node(), 1u8..7, any::<bool>()).prop_map(|(by, node, endorse)| Deed::Compromise { by, node, endorse }),
        (node(), 1u8..7).prop_map(|(by, node)| Deed::Suspend { by, node }),
        node().prop_map(|by| Deed::Tag { by }),
    ];
    proptest::collection::vec(deed, 1..24)
}

fn history(deeds: Vec<Deed>) -> Mesh {
    let mut mesh = Mesh::new();
    for deed in deeds {
        let unknown = |node: &u8| !mesh.grants.contains_key(node);
        match deed {
            Deed::Admit { by, .. }
            | Deed::Retire { by, .. }
            | Deed::Narrow { by, .. }
            | Deed::Compromise { by, .. }
            | Deed::Suspend { by, .. }
            | Deed::Tag { by }
                if unknown(&by) => {}
            Deed::Admit { by, node, rights } => {
                let rights = if rights == 0 { everything() } else { everything().split_off(usize::from(rights)) };
                mesh.admit(by, node, rights);
            }
            Deed::Retire { by, node } => {
                mesh.revoke(by, node, RETIRED);
            }
            Deed::Narrow { by, node } => {
                let last = if mesh.seqs.contains_key(&node) { vec![mesh.position(node)] } else { Vec::new() };
                mesh.revoke(by, node, Verdict::Narrowed { last });
            }
            Deed::Compromise { by, node, endorse } => {
                let own = mesh.held.iter().map(|held| held.record.clone());
                let own: Vec<Record> = own.filter(|record| endorse && record.author() == key(node)).collect();
                let list = mesh.endorse(by, node, Mesh::trust_scope(), 1, &own.iter().collect::<Vec<_>>());
                let verdict = Mesh::compromise(by, &[(Mesh::trust_scope(), 1, &[list]), (scope(7), 1, &[])], &[]);
                mesh.revoke(by, node, verdict);
            }
            Deed::Suspend { by, node } => {
                let seen = Position { incarnation: Incarnation(u64::from(node)), seq: 1 };
                suspend(&mut mesh, by, node, seen);
            }
            Deed::Tag { by } => {
                mesh.tag(by, scope(7));
            }
        }
    }
    mesh
}

proptest! {

    #[test]
    fn the_order_of_arrival_does_not_matter(deeds in deeds(), seed: u64) {
        let mesh = history(deeds);
        let mut shuffled: Vec<(u64, &Held)> = mesh.held.iter().enumerate()
            .map(|(n, held)| (seed.wrapping_mul(n as u64 * 2 + 1).rotate_left(17), held)).collect();
        shuffled.sort_by_key(|(rank, _)| *rank);
        let other = Trust::evaluate(key(0), shuffled.into_iter().map(|(_, held)| held));
        prop_assert_eq!(other, mesh.trust());
    }

    #[test]
    fn nobody_has_a_right_his_issuer_lacks(deeds in deeds()) {
        let trust = history(deeds).trust();
        let name = "app".parse().unwrap();
        for (id, counted) in &trust.grants {
            let Some(issuer) = counted.issuer else { continue };
            for right in everything() {
                if trust.allows(id, right.action, &scope(7), Some(&name)) {
                    prop_assert!(trust.allows(&issuer, right.action, &scope(7), Some(&name)));
                }
            }
        }
    }

    #[test]
    fn an_act_changes_nobody_at_or_above_its_author(deeds in deeds(), by in 1u8..7, node in 1u8..7) {
        let mut mesh = history(deeds);
        prop_assume!(mesh.grants.contains_key(&by));
        let before = mesh.trust();
        mesh.revoke(by, node, Verdict::Narrowed { last: Vec::new() });
        let after = mesh.trust();
        let level = |trust: &Trust, node| trust.nodes.get(&key(node)).map(|standing| standing.level);
        if level(&before, node) <= level(&before, by) {
            prop_assert!(!after.changed_since(&before).contains(&key(node)));
        }
    }
}
