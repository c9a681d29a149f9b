//! Who and what is governed here: projects, people, groups, robots, roles, members, labels, quotas, settings.
//!
//! The records decide; the store keeps what is in force of them as entries; this room holds all entries in memory
//! ([`Book`]), so that asking who may do what costs no read of a disk. State: the [`Directory`] owns the one book of a node.
//! A change is decided purely on the book ([`Draft`]), done by the store only if nothing changed meanwhile, and is in the
//! book before its caller hears of it: whoever was told that an account is shut out will not see it let in again.

mod book;
mod contested;
mod draft;
mod entry;
mod labelled;
mod labels;
mod people;
mod projects;
mod register;
mod robots;

#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use protocol::ProjectName;
use protocol::record::MeshId;
use protocol::record::governed::Metadata;
use protocol::seam::Entropy;
use protocol::trust::IdBlock;

use crate::storage::Store;
use crate::storage::meta::{Act, Amend, Amended, MetaError, Via};
use crate::workers::Scope;

pub use book::{Book, Contested};
pub use draft::{Draft, IdOf};
pub use entry::{GroupEntry, LabelEntry, ProjectEntry, RobotEntry, RoleEntry, UserEntry};
pub use labelled::{Labelled, MAX_IN_PROJECT, MAX_ON_ONE};
pub use labels::NewLabel;
use people::verifier_name;
pub use people::{Profile, USER_ADMIN};
pub use projects::{NewProject, ProjectChange};
pub use robots::{MAX_PERMISSIONS, NewRobot, RobotChange};

/// Most entries read at once.
const PAGE: usize = 4096;

/// How often a change is decided again because another came first.
const TRIES: usize = 16;

/// Why something about who may do what was not changed.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// There is no such thing.
    #[error("there is no such {0}")]
    Absent(&'static str),
    /// One like it is there already.
    #[error("{0} is there already")]
    Exists(String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It may not be done, whoever asks.
    #[error("{0}")]
    Refused(String),
    /// The project has repositories.
    #[error("the project holds {0} repositories: delete them first")]
    Full(u64),
    /// Others changed it again and again meanwhile.
    #[error("others are changing the same at the moment: try again")]
    Contended,
    /// The store.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// The directory of one node.
#[derive(Debug)]
pub struct Directory {
    store: Arc<Store>,
    book: RwLock<Book>,
    /// One change at a time: they would only make each other decide again.
    turn: tokio::sync::Mutex<()>,
    scope: Scope,
}

impl Directory {
    /// Reads everything that is in force. Changes run in `scope`, so that one whose caller goes away is in the book all
    /// the same.
    ///
    /// # Errors
    /// [`MetaError`].
    pub async fn open(store: Arc<Store>, scope: Scope) -> Result<Arc<Self>, MetaError> {
        let block = store.meta().membership().ids();
        Self::giving(block, store, scope).await
    }

    /// The same at a site that gives out ids of this block.
    async fn giving(block: IdBlock, store: Arc<Store>, scope: Scope) -> Result<Arc<Self>, MetaError> {
        let mesh = MeshId::of(&store.meta().membership().root);
        let mut book = Book::new(mesh).giving(block);
        for of in IdOf::ALL {
            if let Some(bytes) = store.meta().local(of.local()).await? {
                book.given_out(of, postcard::from_bytes(&bytes).map_err(|_| damaged(&of.local()))?);
            }
        }
        let this = Arc::new(Self { store, book: RwLock::new(book), turn: tokio::sync::Mutex::new(()), scope });
        this.refresh().await?;
        Ok(this)
    }

    /// Looks something up. Whoever asks must not wait meanwhile.
    pub fn read<T>(&self, ask: impl FnOnce(&Book) -> T) -> T {
        ask(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in what changed since, by this node's changes or by records of others.
    ///
    /// # Errors
    /// [`MetaError`].
    pub async fn refresh(&self) -> Result<(), MetaError> {
        loop {
            let last = self.read(Book::last);
            let entries = self.store.meta().entries(last, PAGE).await?;
            let more = entries.len() == PAGE;
            if !entries.is_empty() {
                let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
                entries.into_iter().for_each(|entry| book.take(entry));
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Changes something: `decide` says what, on the book as it is then. It is asked again when something else changed
    /// meanwhile.
    ///
    /// # Errors
    /// What `decide` says, and [`DirectoryError`]; then nothing was changed.
    pub async fn change<T, E: From<DirectoryError>>(
        self: &Arc<Self>,
        act: &Act,
        decide: impl Fn(&mut Draft<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let _turn = self.turn.lock().await;
        for _ in 0..TRIES {
            let (value, amend) = self.read(|book| {
                let mut draft = Draft::new(book, act.at);
                let value = decide(&mut draft)?;
                Ok::<_, E>((value, draft.amend(self.store.due(), act.clone())))
            })?;
            let Some(amend) = amend else { return Ok(value) };
            let this = Arc::clone(self);
            let amended = self.scope.run("change the directory", async move { this.amend(amend).await }).await;
            let amended = amended.unwrap_or_else(|lost| Err(MetaError::Engine(lost.to_string())));
            match amended.map_err(|error| E::from(error.into()))? {
                Amended::Done => return Ok(value),
                Amended::Stale => {}
                Amended::Full(repositories) => return Err(DirectoryError::Full(repositories).into()),
                Amended::Unknown => return Err(DirectoryError::Absent("project").into()),
            }
        }
        Err(DirectoryError::Contended.into())
    }

    /// What `decide` would say now, and nothing is changed: for what should be refused before it costs something.
    ///
    /// # Errors
    /// What `decide` says.
    pub fn consider<T, E>(&self, decide: impl FnOnce(&mut Draft<'_>) -> Result<T, E>) -> Result<T, E> {
        self.read(|book| decide(&mut Draft::new(book, self.store.now())))
    }

    /// Sees to it that the project is there that holds names of one component and that anyone may pull from.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn make_library(self: &Arc<Self>, entropy: &dyn Entropy) -> Result<(), DirectoryError> {
        let name = ProjectName::library();
        if self.read(|book| book.project(&name).is_some()) {
            return Ok(());
        }
        let act = self.own_act("start");
        let mut nonce = [0; 16];
        entropy.fill(&mut nonce);
        let metadata = Metadata::new();
        let new = NewProject { name, public: true, sparse: false, metadata, owner: None, quota: None, nonce };
        match self.change(&act, |draft| draft.create_project(&new)).await {
            Ok(_) | Err(DirectoryError::Exists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What the node does by itself.
    fn own_act(&self, request: &str) -> Act {
        Act { actor: "portolan".into(), at: self.store.now(), request: request.into(), via: Via::default() }
    }

    /// Takes in what another site is said to have said.
    #[cfg(test)]
    pub(crate) fn hear(&self, topic: protocol::view::Topic, value: protocol::record::value::Value) {
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        let at = book.last();
        book.take(crate::storage::meta::Entry { at, topic, value: Some(value) });
    }

    async fn amend(&self, amend: Amend) -> Result<Amended, MetaError> {
        let ids = amend.local.clone();
        let amended = self.store.meta().amend(amend).await?;
        if amended == Amended::Done {
            let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
            for of in IdOf::ALL {
                let given = ids.iter().find(|(name, _)| *name == of.local()).and_then(|(_, value)| value.as_ref());
                if let Some(last) = given.and_then(|bytes| postcard::from_bytes(bytes).ok()) {
                    book.given_out(of, last);
                }
            }
        }
        self.refresh().await?;
        Ok(amended)
    }

    /// What this node keeps of a person's password; `None`: nobody can log in by one.
    ///
    /// # Errors
    /// [`MetaError`].
    pub async fn verifier(&self, user: &UserEntry) -> Result<Option<Vec<u8>>, MetaError> {
        self.store.meta().local(verifier_name(&user.name, &user.is)).await
    }
}

fn damaged(what: &str) -> MetaError {
    MetaError::Damaged(format!("{what} can't be read"))
}
