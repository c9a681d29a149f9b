//! Which versions cover which: reachability with circles, over places in a list. No state.
//!
//! Edges lead from a version to those it follows. Hashes alone allow no circle; a lying author can close one by writing
//! at a smaller place what names a record it wrote at a greater. All of a circle cover the same, and none another.

/// What became of one node of the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Covered {
    /// Whether it is a head: valid, and no valid node reaches it without being reached.
    pub(super) head: bool,
    /// Whether it lies on a circle.
    pub(super) circular: bool,
}

/// The heads among nodes `0..edges.len()`.
pub(super) fn heads(edges: &[Vec<usize>], valid: &[bool]) -> Vec<Covered> {
    let circles = circles(edges);
    let mut found = vec![Covered::default(); edges.len()];
    let mut is_covered = vec![false; edges.len()];
    // Circles come after all that they reach; so from the last on, whatever covers a circle is done before it.
    for circle in circles.iter().rev() {
        let covered = circle.iter().any(|&node| is_covered[node]);
        let covers = covered || circle.iter().any(|&node| valid[node]);
        for &node in circle {
            found[node] = Covered { head: valid[node] && !covered, circular: circle.len() > 1 };
        }
        if covers {
            // Marks the circle itself too, which no longer matters.
            for &next in circle.iter().flat_map(|&node| &edges[node]) {
                is_covered[next] = true;
            }
        }
    }
    found
}

/// The strongly connected parts, each after every part it reaches (Tarjan 1972), without recursion: a chain may have as
/// many versions as its author liked.
fn circles(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let mut order = vec![UNSEEN; edges.len()];
    let mut low = vec![0; edges.len()];
    let mut waiting = vec![false; edges.len()];
    let (mut stack, mut found, mut count) = (Vec::new(), Vec::new(), 0);
    for root in 0..edges.len() {
        let mut path: Vec<(usize, usize)> = Vec::new();
        if order[root] == UNSEEN {
            path.push((root, 0));
        }
        while let Some((node, next)) = path.pop() {
            if next == 0 {
                (order[node], low[node], waiting[node]) = (count, count, true);
                count += 1;
                stack.push(node);
            } else {
                low[node] = low[node].min(low[edges[node][next - 1]]);
            }
            let mut at = next;
            let mut deeper = None;
            while let Some(&to) = edges[node].get(at) {
                at += 1;
                if order[to] == UNSEEN {
                    deeper = Some(to);
                    break;
                } else if waiting[to] {
                    low[node] = low[node].min(order[to]);
                }
            }
            if let Some(to) = deeper {
                path.push((node, at));
                path.push((to, 0));
            } else if low[node] == order[node] {
                let mut circle = Vec::new();
                while let Some(member) = stack.pop() {
                    waiting[member] = false;
                    circle.push(member);
                    if member == node {
                        break;
                    }
                }
                found.push(circle);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word.
    fn by_definition(edges: &[Vec<usize>], valid: &[bool]) -> Vec<Covered> {
        let count = edges.len();
        let mut reaches = vec![vec![false; count]; count];
        for (from, row) in reaches.iter_mut().enumerate() {
            let mut open = edges[from].clone();
            while let Some(node) = open.pop() {
                if !row[node] {
                    row[node] = true;
                    open.extend(&edges[node]);
                }
            }
        }
        let is_covered = |v: usize| (0..count).any(|u| valid[u] && reaches[u][v] && !reaches[v][u]);
        let of = |v| Covered { head: valid[v] && !is_covered(v), circular: reaches[v][v] };
        (0..count).map(of).collect()
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let edges: Vec<Vec<usize>> = (0..200_000).map(|n: usize| n.checked_sub(1).into_iter().collect()).collect();
        let found = heads(&edges, &vec![true; edges.len()]);
        assert_eq!(found.iter().position(|node| node.head), Some(199_999));
        assert_eq!(found.iter().filter(|node| node.head).count(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]
        #[test]
        fn heads_are_as_defined(
            pairs in proptest::collection::vec((0_usize..9, 0_usize..9), 0..24),
            valid in proptest::collection::vec(any::<bool>(), 9),
        ) {
            let mut edges = vec![Vec::new(); 9];
            for (from, to) in pairs {
                if from != to {
                    edges[from].push(to);
                }
            }
            let found = heads(&edges, &valid);
            prop_assert_eq!(&found, &by_definition(&edges, &valid));
            prop_assert_eq!(found.iter().any(|node| node.head), valid.contains(&true));
        }
    }
}
