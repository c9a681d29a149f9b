//! Names: directories, the files they lead to, and which entries survive a crash.
//!
//! Each directory has its entries as everyone sees them (`live`) and as they survive for certain (`settled`); what lies
//! between is a list of pending changes, oldest first. A change can only survive together with the earlier pending
//! changes of the same name or the same file: that much order every file system keeps, whether by journal or by soft
//! updates, and nothing more is promised. A rename within a directory is one change. A rename across directories is
//! two, of which the removal needs the arrival: a crash may leave both names, never none.
//!
//! Owned by the disk, under its lock. A crash keeps the settled entries and a legal choice of the pending ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use super::content::{BLOCK, Content};

pub(super) type NodeId = u64;
pub(super) const ROOT: NodeId = 0;

#[derive(Clone, Debug)]
pub(super) struct FileNode {
    pub(super) content: Content,
    live_links: u32,
    settled_links: u32,
    /// Open handles: an unlinked file takes its room until the last is gone.
    handles: u32,
}

#[derive(Clone, Debug)]
pub(super) struct DirNode {
    parent: NodeId,
    pub(super) live: BTreeMap<String, NodeId>,
    settled: BTreeMap<String, NodeId>,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    /// The name leads to the node.
    Link,
    /// The name leads nowhere.
    Unlink,
    /// The name leads to the node and the old name, in the same directory, nowhere.
    Move { from: String },
}

/// A change of a directory that a crash may take back.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) id: u64,
    dir: NodeId,
    name: String,
    node: NodeId,
    /// What the name led to before.
    replaced: Option<NodeId>,
    change: Change,
    /// Pending changes without which this one can't survive.
    pub(super) needs: Vec<u64>,
    /// A sync failed: no later sync makes it durable.
    abandoned: bool,
}

impl Pending {
    fn touches_name(&self, dir: NodeId, name: &str) -> bool {
        self.dir == dir && (self.name == name || matches!(&self.change, Change::Move { from } if from == name))
    }

    fn touches_node(&self, node: NodeId) -> bool {
        self.node == node || self.replaced == Some(node)
    }
}

/// A whole file system.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Arc<Node>>,
    next_node: NodeId,
    pending: Vec<Arc<Pending>>,
    next_pending: u64,
    pub(super) capacity: u64,
    used_blocks: u64,
}

/// Where a path leads: its directory, its name there, and the node if there is one.
pub(super) struct Place {
    pub(super) dir: NodeId,
    pub(super) name: String,
    pub(super) node: Option<NodeId>,
}

impl Tree {
    pub(super) fn new(capacity: u64) -> Self {
        let root = DirNode { parent: ROOT, live: BTreeMap::new(), settled: BTreeMap::new() };
        Self {
            nodes: BTreeMap::from([(ROOT, Arc::new(Node::Dir(root)))]),
            next_node: ROOT + 1,
            pending: Vec::new(),
            next_pending: 0,
            capacity,
            used_blocks: 0,
        }
    }

    // Reading.

    /// The names on the way; absolute and relative paths are the same.
    pub(super) fn names(path: &Path) -> io::Result<Vec<&str>> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "not a plain UTF-8 path");
        let mut names = Vec::new();
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => names.push(name.to_str().ok_or_else(invalid)?),
                Component::ParentDir | Component::Prefix(_) => return Err(invalid()),
            }
        }
        Ok(names)
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut at = ROOT;
        for name in Self::names(path)? {
            at = *self.dir(at)?.live.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let names = Self::names(path)?;
        let Some((name, parents)) = names.split_last() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the root has no name"));
        };
        let mut dir = ROOT;
        for parent in parents {
            dir = *self.dir(dir)?.live.get(*parent).ok_or(io::ErrorKind::NotFound)?;
        }
        let node = self.dir(dir)?.live.get(*name).copied();
        Ok(Place { dir, name: (*name).to_owned(), node })
    }

    pub(super) fn node(&self, node: NodeId) -> io::Result<&Node> {
        // Only a handle of a dead disk could name a node that is gone.
        self.nodes.get(&node).map(Arc::as_ref).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn dir(&self, node: NodeId) -> io::Result<&DirNode> {
        match self.node(node)? {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn file(&self, node: NodeId) -> io::Result<&FileNode> {
        match self.node(node)? {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn room(&self) -> u64 {
        (self.capacity / BLOCK).saturating_sub(self.used_blocks)
    }

    pub(super) fn available(&self) -> u64 {
        self.room() * BLOCK
    }

    pub(super) fn pending(&self) -> impl DoubleEndedIterator<Item = &Pending> {
        self.pending.iter().map(Arc::as_ref)
    }

    /// Files that have a name, with their nodes, in order of path.
    pub(super) fn files(&self) -> Vec<(String, NodeId)> {
        self.walk(|dir| &dir.live).into_iter().filter(|(_, node)| self.file(*node).is_ok()).collect()
    }

    fn walk(&self, entries: impl Fn(&DirNode) -> &BTreeMap<String, NodeId>) -> Vec<(String, NodeId)> {
        let mut all = Vec::new();
        let mut open = vec![(String::new(), ROOT)];
        while let Some((path, node)) = open.pop() {
            let Ok(dir) = self.dir(node) else { continue };
            for (name, &child) in entries(dir).iter().rev() {
                let path = format!("{path}/{name}");
                all.push((path.clone(), child));
                open.push((path, child));
            }
        }
        all.sort();
        all
    }

    /// Whether a crash could take anything away.
    pub(super) fn is_settled(&self) -> bool {
        let whole = |node: &Arc<Node>| match &**node {
            Node::File(file) => file.content.is_settled(),
            Node::Dir(_) => true,
        };
        self.pending.is_empty() && self.nodes.values().all(whole)
    }

    /// Names, lengths and bytes, as everyone sees them.
    pub(super) fn fingerprint(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for (path, node) in self.walk(|dir| &dir.live) {
            hasher.update(&(path.len() as u64).to_le_bytes());
            hasher.update(path.as_bytes());
            match self.file(node) {
                Ok(file) => file.content.hash(hasher.update(b"f")),
                Err(_) => {
                    hasher.update(b"d");
                }
            }
        }
        hasher.finalize()
    }

    // Changing.

    pub(super) fn create_file(&mut self, place: &Place) -> io::Result<NodeId> {
        let file = FileNode { content: Content::new(), live_links: 0, settled_links: 0, handles: 0 };
        let node = self.add(Node::File(file));
        self.change(place.dir, &place.name, node, Change::Link, Vec::new())?;
        Ok(node)
    }

    pub(super) fn create_dir(&mut self, dir: NodeId, name: &str) -> io::Result<NodeId> {
        let fresh = DirNode { parent: dir, live: BTreeMap::new(), settled: BTreeMap::new() };
        let node = self.add(Node::Dir(fresh));
        self.change(dir, name, node, Change::Link, Vec::new())?;
        Ok(node)
    }

    pub(super) fn rename(&mut self, from: &Place, to: &Place) -> io::Result<()> {
        let node = from.node.ok_or(io::ErrorKind::NotFound)?;
        if from.dir == to.dir {
            self.change(to.dir, &to.name, node, Change::Move { from: from.name.clone() }, Vec::new())
        } else {
            self.change(to.dir, &to.name, node, Change::Link, Vec::new())?;
            // A rename loses no file: the old name only goes once the way to the new one is there.
            let way = self.creations_on_the_way_to(to.dir)?;
            self.change(from.dir, &from.name, node, Change::Unlink, way)
        }
    }

    pub(super) fn remove(&mut self, place: &Place) -> io::Result<()> {
        let node = place.node.ok_or(io::ErrorKind::NotFound)?;
        self.change(place.dir, &place.name, node, Change::Unlink, Vec::new())
    }

    pub(super) fn sync_dir(&mut self, dir: NodeId) {
        let mut lost = BTreeSet::new();
        for pending in &self.pending {
            if pending.abandoned || pending.needs.iter().any(|need| lost.contains(need)) {
                lost.insert(pending.id);
            }
        }
        let mut wanted = BTreeSet::new();
        for pending in self.pending.iter().rev() {
            if (pending.dir == dir || wanted.contains(&pending.id)) && !lost.contains(&pending.id) {
                wanted.insert(pending.id);
                wanted.extend(&pending.needs);
            }
        }
        let (settling, kept) = self.pending.drain(..).partition(|pending| wanted.contains(&pending.id));
        self.pending = kept;
        self.settle(settling);
    }

    pub(super) fn fail_sync_dir(&mut self, dir: NodeId) {
        for pending in self.pending.iter_mut().filter(|pending| pending.dir == dir) {
            Arc::make_mut(pending).abandoned = true;
        }
    }

    pub(super) fn add_handle(&mut self, node: NodeId) -> io::Result<()> {
        self.file_mut(node)?.handles += 1;
        Ok(())
    }

    pub(super) fn drop_handle(&mut self, node: NodeId) {
        if let Ok(file) = self.file_mut(node) {
            file.handles = file.handles.saturating_sub(1);
            self.release(node);
        }
    }

    /// Changes the content of a file and keeps the account of the volume.
    pub(super) fn edit<T>(&mut self, node: NodeId, edit: impl FnOnce(&mut Content, u64) -> T) -> io::Result<T> {
        let room = self.room();
        let content = &mut self.file_mut(node)?.content;
        let before = content.charged();
        let out = edit(content, room);
        let after = content.charged();
        self.used_blocks = (self.used_blocks + after).saturating_sub(before);
        Ok(out)
    }

    pub(super) fn edit_all(&mut self, mut edit: impl FnMut(&mut Content)) {
        for node in self.nodes.values_mut() {
            if matches!(**node, Node::File(_))
                && let Node::File(file) = Arc::make_mut(node)
            {
                let before = file.content.charged();
                edit(&mut file.content);
                let open = file.live_links > 0 || file.handles > 0;
                if open {
                    self.used_blocks = (self.used_blocks + file.content.charged()).saturating_sub(before);
                }
            }
        }
    }

    // Crashing.

    /// The tree in which exactly the `kept` pending changes survived, contents still as they are, and the nodes that
    /// are reachable in it.
    pub(super) fn with_entries(&self, kept: &BTreeSet<u64>) -> (Self, BTreeSet<NodeId>) {
        let mut tree = self.clone();
        let settling = tree.pending.drain(..).filter(|pending| kept.contains(&pending.id)).collect();
        tree.settle(settling);
        let reachable = tree.walk(|dir| &dir.settled).into_iter().map(|(_, node)| node).chain([ROOT]).collect();
        (tree, reachable)
    }

    /// Starts again from the settled entries, with `contents` for the files that are still there.
    pub(super) fn restarted(mut self, mut contents: BTreeMap<NodeId, Content>) -> Self {
        let mut links: BTreeMap<NodeId, u32> = BTreeMap::new();
        for (_, node) in self.walk(|dir| &dir.settled) {
            *links.entry(node).or_default() += 1;
        }
        let mut used_blocks = 0;
        let mut nodes = BTreeMap::new();
        for (id, node) in self.nodes {
            match &*node {
                Node::Dir(dir) if id == ROOT || links.contains_key(&id) => {
                    let dir = DirNode { live: dir.settled.clone(), ..dir.clone() };
                    nodes.insert(id, Arc::new(Node::Dir(dir)));
                }
                Node::File(_) => {
                    if let (Some(&links), Some(content)) = (links.get(&id), contents.remove(&id)) {
                        used_blocks += content.charged();
                        let file = FileNode { content, live_links: links, settled_links: links, handles: 0 };
                        nodes.insert(id, Arc::new(Node::File(file)));
                    }
                }
                Node::Dir(_) => {}
            }
        }
        self.nodes = nodes;
        self.used_blocks = used_blocks;
        self.pending = Vec::new();
        self
    }

    /// The same tree for the next process: nothing is open any more.
    pub(super) fn reopened(&self) -> Self {
        let mut tree = self.clone();
        let open: Vec<NodeId> = tree.files_with(|file| file.handles > 0).collect();
        for node in open {
            if let Ok(file) = tree.file_mut(node) {
                file.handles = 0;
                tree.release(node);
            }
        }
        tree
    }

    fn files_with(&self, wanted: impl Fn(&FileNode) -> bool) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().filter_map(move |(&id, node)| match &**node {
            Node::File(file) if wanted(file) => Some(id),
            Node::File(_) | Node::Dir(_) => None,
        })
    }

    fn add(&mut self, node: Node) -> NodeId {
        let id = self.next_node;
        self.next_node += 1;
        self.nodes.insert(id, Arc::new(node));
        id
    }

    fn file_mut(&mut self, node: NodeId) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&node).map(Arc::make_mut) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn dir_mut(&mut self, node: NodeId) -> io::Result<&mut DirNode> {
        match self.nodes.get_mut(&node).map(Arc::make_mut) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn change(&mut self, dir: NodeId, name: &str, node: NodeId, change: Change, mut needs: Vec<u64>) -> io::Result<()> {
        let entries = &mut self.dir_mut(dir)?.live;
        let displaced = match &change {
            Change::Unlink => entries.remove(name),
            Change::Link => entries.insert(name.to_owned(), node),
            Change::Move { from } => {
                entries.remove(from);
                entries.insert(name.to_owned(), node)
            }
        };
        match &change {
            Change::Link => self.count_live(node, 1),
            Change::Unlink | Change::Move { .. } => {}
        }
        let replaced = displaced.filter(|&old| old != node);
        let from = match &change {
            Change::Move { from } => Some(from.as_str()),
            Change::Link | Change::Unlink => None,
        };
        for earlier in &self.pending {
            let same_name = earlier.touches_name(dir, name) || from.is_some_and(|from| earlier.touches_name(dir, from));
            let same_node = earlier.touches_node(node) || replaced.is_some_and(|old| earlier.touches_node(old));
            if same_name || same_node {
                needs.push(earlier.id);
            }
        }
        let id = self.next_pending;
        self.next_pending += 1;
        let name = name.to_owned();
        self.pending.push(Arc::new(Pending { id, dir, name, node, replaced, change, needs, abandoned: false }));
        if let Some(gone) = displaced {
            self.count_live(gone, -1);
            self.release(gone);
        }
        Ok(())
    }

    fn creations_on_the_way_to(&self, dir: NodeId) -> io::Result<Vec<u64>> {
        let mut ids = Vec::new();
        let mut at = dir;
        while at != ROOT {
            ids.extend(self.pending.iter().filter(|pending| pending.node == at).map(|pending| pending.id));
            at = self.dir(at)?.parent;
        }
        Ok(ids)
    }

    fn settle(&mut self, changes: Vec<Arc<Pending>>) {
        let mut touched = BTreeSet::new();
        for pending in changes {
            let Some(Node::Dir(dir)) = self.nodes.get_mut(&pending.dir).map(Arc::make_mut) else { continue };
            let removed = match &pending.change {
                Change::Unlink => vec![dir.settled.remove(&pending.name)],
                Change::Link => vec![dir.settled.insert(pending.name.clone(), pending.node)],
                Change::Move { from } => {
                    vec![dir.settled.remove(from), dir.settled.insert(pending.name.clone(), pending.node)]
                }
            };
            if pending.change != Change::Unlink {
                self.count_settled(pending.node, 1);
            }
            for gone in removed.into_iter().flatten() {
                self.count_settled(gone, -1);
                touched.insert(gone);
            }
            touched.extend(pending.replaced);
            touched.insert(pending.node);
        }
        for node in touched {
            self.forget(node);
        }
    }

    fn count_live(&mut self, node: NodeId, by: i32) {
        if let Ok(file) = self.file_mut(node) {
            file.live_links = file.live_links.saturating_add_signed(by);
        }
    }

    fn count_settled(&mut self, node: NodeId, by: i32) {
        if let Ok(file) = self.file_mut(node) {
            file.settled_links = file.settled_links.saturating_add_signed(by);
        }
    }

    /// Gives back the room of a file that has lost its last name and its last handle.
    fn release(&mut self, node: NodeId) {
        let Ok(file) = self.file(node) else { return };
        if file.live_links == 0 && file.handles == 0 {
            self.used_blocks = self.used_blocks.saturating_sub(file.content.charged());
            self.forget(node);
        }
    }

    /// Drops a file that no name, no handle and no crash can bring back.
    fn forget(&mut self, node: NodeId) {
        let Ok(file) = self.file(node) else { return };
        let gone = file.live_links == 0 && file.handles == 0 && file.settled_links == 0;
        if gone && !self.pending.iter().any(|pending| pending.touches_node(node)) {
            self.nodes.remove(&node);
        }
    }
}
