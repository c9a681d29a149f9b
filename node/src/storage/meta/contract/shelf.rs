//! Listings for people: numbers, orders, counts, pulls, and what goes with a repository.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::{Digest, Reference};

use super::{Site, act, all, at, blob, checks, manifest, needed, repository, tag};
use crate::storage::meta::check::rows_follow_records;
use crate::storage::meta::{
    ArtifactOrder, DeletedRepository, DeletedTo, FindRepositories, MetaStore, ProjectTotals, Pulled, RepositoryKey,
    RepositoryOrder, Shown, Slice, Wanted, What, delete_in_steps,
};

checks! {
    numbers_are_given_once_and_never_again
    artifacts_that_stand_for_themselves_are_listed_newest_first
    a_manifest_weighs_its_blobs_and_children
    repositories_are_shown_by_name_and_by_age
    repositories_are_found_by_a_part_of_their_name
    pulls_are_added_to_what_is_there
    a_description_is_kept_with_an_event
    a_deleted_repository_takes_all_along
    a_repository_is_deleted_in_bounded_steps
    a_tag_keeps_its_number_and_tells_its_last_push
}

const WHOLE: Slice = Slice { offset: 0, limit: 100 };

impl Site {
    async fn push(&self, repo: &str, name: &str, tags: &[&str], now: u64) -> Digest {
        let mut push = manifest(repo, name);
        (push.tags, push.act) = (tags.iter().map(|name| tag(name)).collect(), act(now));
        self.published(push).await
    }

    /// The digests on the shelf of a repository, and how many there are.
    async fn shelf(&self, repo: &str, slice: Slice) -> (Vec<Digest>, u64) {
        let found = self.meta.artifacts(&repository(repo), ArtifactOrder::Newest, slice).await.unwrap().unwrap();
        (found.items.iter().map(|artifact| artifact.digest).collect(), found.total)
    }

    async fn repository_names(
        &self,
        project: Option<&str>,
        order: RepositoryOrder,
        slice: Slice,
    ) -> (Vec<String>, u64) {
        let project = project.map(|name| name.parse().unwrap());
        let Shown { items, total } = self.meta.shown_repositories(project.as_ref(), order, slice).await.unwrap();
        (items.iter().map(|view| view.name.to_string()).collect(), total)
    }

    async fn sound_rows(&self) {
        assert_eq!(rows_follow_records(&*self.meta).await.unwrap().differences, [""; 0]);
    }
}

async fn numbers_are_given_once_and_never_again(site: Site) {
    site.project("p").await;
    let digest = site.push("p/a", "m", &["t"], 10).await;
    let a = repository("p/a");
    let first = site.meta.repository(&a).await.unwrap().unwrap();
    assert_eq!(site.meta.repository_by_id(first.id).await.unwrap(), Some(first.clone()));
    let artifact = site.meta.artifact(&a, &Reference::Tag(tag("t"))).await.unwrap().unwrap();
    assert_eq!(Some(artifact.clone()), site.meta.artifact(&a, &Reference::Digest(digest)).await.unwrap());
    let t = site.meta.tags_of(&a, &digest, 9).await.unwrap();
    let mut seen = vec![first.id, artifact.id, t[0].id];
    // Pushed again, it is the same.
    site.push("p/a", "m", &["t"], 20).await;
    assert_eq!(site.meta.artifact(&a, &Reference::Digest(digest)).await.unwrap(), Some(artifact));
    // Removed and made again, it is another.
    delete_in_steps(&*site.meta, &a, 9, at(90), &act(30)).await.unwrap();
    assert_eq!(site.meta.repository_by_id(first.id).await.unwrap(), None);
    site.push("p/a", "m", &["t"], 40).await;
    seen.push(site.meta.repository(&a).await.unwrap().unwrap().id);
    seen.push(site.meta.artifact(&a, &Reference::Digest(digest)).await.unwrap().unwrap().id);
    seen.push(site.meta.tags_of(&a, &digest, 9).await.unwrap()[0].id);
    assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
    assert!(seen[0] > 0);
}

async fn artifacts_that_stand_for_themselves_are_listed_newest_first(site: Site) {
    site.project("p").await;
    let a = repository("p/a");
    assert_eq!(site.meta.artifacts(&a, ArtifactOrder::Newest, WHOLE).await.unwrap(), None);
    let m = site.push("p/a", "m", &["m"], 10).await;
    let n = site.push("p/a", "n", &[], 20).await;
    let mut index = manifest("p/a", "index");
    (index.children, index.act) = (vec![m, n], act(30));
    let index = site.published(index).await;
    let mut signature = manifest("p/a", "signature");
    (signature.subject, signature.tags, signature.act) = (Some(m), vec![tag("sig")], act(40));
    site.published(signature).await;
    // A neighbour whose name continues this one's.
    site.push("p/a/b", "m", &[], 50).await;
    assert_eq!(
        site.shelf("p/a", WHOLE).await,
        (vec![index, m], 2),
        "no child without a tag, nothing that speaks of another"
    );
    assert_eq!(site.shelf("p/a", Slice { offset: 1, limit: 1 }).await, (vec![m], 2));
    assert_eq!(site.shelf("p/a", Slice { offset: 2, limit: 1 }).await, (vec![], 2));
    let every = site.meta.artifacts(&a, ArtifactOrder::Digest, WHOLE).await.unwrap().unwrap();
    assert_eq!((every.items.len(), every.total), (4, 4));
    assert!(every.items.is_sorted_by_key(|artifact| artifact.digest.to_key()));
    let view = site.meta.repository(&a).await.unwrap().unwrap();
    assert_eq!((view.artifacts, view.manifests, view.tags), (2, 4, 2));
    // A tag puts the child on the shelf where it was pushed, and takes it away with it.
    site.push("p/a", "n", &["n"], 60).await;
    assert_eq!(site.shelf("p/a", WHOLE).await, (vec![index, n, m], 3));
    site.meta.delete_tag(&a, &tag("n"), at(90), act(70)).await.unwrap();
    assert_eq!(site.shelf("p/a", WHOLE).await, (vec![index, m], 2));
    // So does the end of what named it.
    site.meta.delete_manifest(&a, &index, at(90), act(80)).await.unwrap();
    assert_eq!(site.shelf("p/a", WHOLE).await, (vec![n, m], 2));
    site.sound_rows().await;
}

async fn a_manifest_weighs_its_blobs_and_children(site: Site) {
    site.project("p").await;
    site.link("p/a", "four", 50).await;
    let mut image = manifest("p/a", "image");
    (image.blobs, image.artifact_type) = (vec![needed("four"), needed("four")], Some("a/config".parse().unwrap()));
    let image = site.published(image).await;
    let mut index = manifest("p/a", "index");
    (index.children, index.sparse) = (vec![image, blob("absent"), image], true);
    let index = site.published(index).await;
    let a = repository("p/a");
    let view_of_image = site.meta.artifact(&a, &Reference::Digest(image)).await.unwrap().unwrap();
    assert_eq!((view_of_image.size, view_of_image.total), (5, 9));
    assert_eq!(view_of_image.artifact_type.unwrap().as_str(), "a/config");
    let view_of_index = site.meta.artifact(&a, &Reference::Digest(index)).await.unwrap().unwrap();
    assert_eq!((view_of_index.size, view_of_index.total, view_of_index.pushed), (5, 14, at(10)));
}

async fn repositories_are_shown_by_name_and_by_age(site: Site) {
    for name in ["p", "p-q"] {
        site.project(name).await;
    }
    for (now, repo) in (10..).zip(["p/b", "p-q/x", "p/a", "p/a/c"]) {
        site.push(repo, "m", &[], now).await;
    }
    use RepositoryOrder::{Name, Newest};
    let some = |names: &[&str], total| (names.iter().map(ToString::to_string).collect::<Vec<_>>(), total);
    assert_eq!(site.repository_names(None, Name, WHOLE).await, some(&["p-q/x", "p/a", "p/a/c", "p/b"], 4));
    assert_eq!(site.repository_names(None, Newest, WHOLE).await, some(&["p/a/c", "p/a", "p-q/x", "p/b"], 4));
    assert_eq!(site.repository_names(Some("p"), Name, Slice { offset: 1, limit: 1 }).await, some(&["p/a/c"], 3));
    assert_eq!(site.repository_names(Some("p"), Newest, Slice { offset: 1, limit: 9 }).await, some(&["p/a", "p/b"], 3));
    assert_eq!(site.repository_names(Some("p-q"), Newest, WHOLE).await, some(&["p-q/x"], 1));
    assert_eq!(site.repository_names(Some("x"), Name, WHOLE).await, some(&[], 0));
    let totals = site.meta.project_totals(&"p".parse().unwrap()).await.unwrap();
    assert_eq!(totals, ProjectTotals { bytes: 1, repositories: 3 });
    let view = site.meta.repository(&repository("p/b")).await.unwrap().unwrap();
    assert_eq!((view.created, view.updated), (at(10), at(10)));
    site.push("p/b", "m", &[], 50).await;
    let view = site.meta.repository(&repository("p/b")).await.unwrap().unwrap();
    assert_eq!((view.created, view.updated), (at(10), at(50)));
}

async fn repositories_are_found_by_a_part_of_their_name(site: Site) {
    for name in ["shop", "shop-old", "tools"] {
        site.project(name).await;
        for repo in ["front", "back/front", "db"] {
            site.link(&format!("{name}/{repo}"), "x", 50).await;
        }
    }
    let meta = Arc::clone(&site.meta);
    let find = |contains: &str, projects: Option<&[&str]>, slice| {
        let projects = projects.map(|names| Arc::new(names.iter().map(|name| name.parse().unwrap()).collect()));
        let find = FindRepositories { projects, ..FindRepositories::containing(contains.into(), slice) };
        let meta = Arc::clone(&meta);
        async move {
            let Shown { items, total } = meta.find_repositories(find).await.unwrap();
            (items.iter().map(|view| view.name.to_string()).collect::<Vec<_>>(), total)
        }
    };
    assert_eq!(find("k/fr", None, WHOLE).await.0, ["shop-old/back/front", "shop/back/front", "tools/back/front"]);
    assert_eq!(find("op/d", None, WHOLE).await, (vec!["shop/db".into()], 1), "over the slash");
    let some = find("front", Some(&["tools", "shop", "none"]), Slice { offset: 1, limit: 2 }).await;
    assert_eq!(some, (vec!["shop/front".into(), "tools/back/front".into()], 4));
    assert_eq!(find("", None, Slice { offset: 0, limit: 1 }).await, (vec!["shop-old/back/front".into()], 9));
    assert_eq!(find("nothing", None, WHOLE).await, (vec![], 0));
    repositories_are_found_in_any_order(&*site.meta).await;
}

/// Wants what ends so.
#[derive(Debug)]
struct Ends(&'static str);

impl Wanted for Ends {
    fn wants(&self, repository: &str) -> bool {
        repository.ends_with(self.0)
    }
}

async fn repositories_are_found_in_any_order(meta: &dyn MetaStore) {
    let mut all = meta.shown_repositories(None, RepositoryOrder::Name, WHOLE).await.unwrap().items;
    all.retain(|view| view.name.as_str().ends_with("/front"));
    let projects: BTreeSet<_> = all.iter().map(|view| view.name.project()).collect();
    for (by, descending) in [RepositoryKey::Name, RepositoryKey::Created, RepositoryKey::Updated]
        .map(|by| [(by, false), (by, true)])
        .concat()
    {
        match by {
            RepositoryKey::Name => all.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str())),
            RepositoryKey::Created => all.sort_by_key(|view| view.id),
            RepositoryKey::Updated => all.sort_by_key(|view| (view.updated, view.id)),
        }
        if descending {
            all.reverse();
        }
        for projects in [None, Some(Arc::new(projects.clone()))] {
            let wanted: Option<Arc<dyn Wanted>> = Some(Arc::new(Ends("front")));
            let slice = Slice { offset: 1, limit: 3 };
            let find = FindRepositories { contains: "/".into(), projects, wanted, by, descending, slice };
            let found = meta.find_repositories(find).await.unwrap();
            assert_eq!((&*found.items, found.total), (&all[1..4], all.len() as u64), "{by:?} {descending}");
        }
    }
}

async fn pulls_are_added_to_what_is_there(site: Site) {
    site.project("p").await;
    let a = repository("p/a");
    let digest = site.push("p/a", "m", &["t", "u"], 10).await;
    let pulled = |repo: &str, digest, tag, count, last| Pulled {
        repository: repository(repo),
        digest,
        tag,
        count,
        last: at(last),
    };
    let noted = vec![
        pulled("p/a", digest, Some(tag("t")), 3, 50),
        pulled("p/a", digest, None, 2, 40),
        pulled("p/a", digest, Some(tag("gone")), 1, 45),
        pulled("p/a", blob("gone"), None, 9, 99),
        pulled("p/gone", digest, None, 9, 99),
    ];
    site.meta.note_pulls(noted).await.unwrap();
    let view = site.meta.repository(&a).await.unwrap().unwrap();
    assert_eq!((view.pulls, view.last_pull), (6, Some(at(50))));
    assert_eq!(site.meta.repository(&repository("p/gone")).await.unwrap(), None, "nothing is made by it");
    let artifact = site.meta.artifact(&a, &Reference::Digest(digest)).await.unwrap().unwrap();
    assert_eq!(artifact.pulled, Some(at(50)));
    let tags = site.meta.shown_tags(&a, WHOLE).await.unwrap().unwrap();
    assert_eq!(tags.items.iter().map(|tag| tag.pulled).collect::<Vec<_>>(), [Some(at(50)), None]);
    // A push of the same leaves what was noted.
    site.push("p/a", "m", &["t"], 60).await;
    let artifact = site.meta.artifact(&a, &Reference::Tag(tag("t"))).await.unwrap().unwrap();
    assert_eq!((artifact.pulled, artifact.pushed), (Some(at(50)), at(10)));
}

async fn a_description_is_kept_with_an_event(site: Site) {
    site.project("p").await;
    let a = repository("p/a");
    assert!(!site.meta.describe_repository(&a, "nothing".into(), act(5)).await.unwrap());
    site.push("p/a", "m", &[], 10).await;
    assert!(site.meta.describe_repository(&a, "what it is".into(), act(20)).await.unwrap());
    let view = site.meta.repository(&a).await.unwrap().unwrap();
    assert_eq!((&*view.description, view.created, view.updated), ("what it is", at(10), at(20)));
    let told = site.events().await.pop().unwrap();
    assert_eq!((told.act, told.what), (act(20), What::RepositoryDescribed { repository: a }));
}

async fn a_deleted_repository_takes_all_along(site: Site) {
    site.project("p").await;
    let a = repository("p/a");
    let absent = delete_in_steps(&*site.meta, &a, 1, at(90), &act(5)).await.unwrap();
    assert_eq!((absent, site.events().await.len()), (DeletedRepository::Absent, 1));
    site.link("p/a", "four", 50).await;
    let mut image = manifest("p/a", "m");
    (image.blobs, image.tags) = (vec![needed("four")], vec![tag("t"), tag("u")]);
    let m = site.published(image).await;
    let mut index = manifest("p/a", "index");
    index.children = vec![m];
    site.published(index).await;
    let mut signature = manifest("p/a", "signature");
    signature.subject = Some(m);
    site.published(signature).await;
    site.push("p/a/b", "m", &["t"], 20).await;
    // Kept by the index alone.
    site.meta.delete_manifest(&a, &m, at(90), act(25)).await.unwrap();
    site.push("p/a", "m", &["t", "u"], 26).await;
    let before = site.events().await.len();
    let done = delete_in_steps(&*site.meta, &a, 1, at(90), &act(30)).await.unwrap();
    assert_eq!(done, DeletedRepository::Done);
    let told = site.events().await;
    assert_eq!(told.len(), before + 1);
    assert_eq!(told[before].what, What::RepositoryDeleted { repository: a.clone(), manifests: 3, tags: 2 });
    assert_eq!(site.meta.repository(&a).await.unwrap(), None);
    assert_eq!(site.meta.tags(&a, all()).await.unwrap(), None);
    assert_eq!(site.meta.shown_tags(&a, WHOLE).await.unwrap(), None);
    assert_eq!(site.meta.artifacts(&a, ArtifactOrder::Digest, WHOLE).await.unwrap(), None);
    assert_eq!(site.meta.manifest(&a, &Reference::Digest(m)).await.unwrap(), None);
    assert_eq!(site.repository_names(Some("p"), RepositoryOrder::Newest, WHOLE).await, (vec!["p/a/b".into()], 1));
    assert_eq!(site.shelf("p/a/b", WHOLE).await, (vec![m], 1), "its neighbour stays");
    assert_eq!((site.bytes_of("p").await, site.has_blob("p/a", "four").await), (1, true), "the link has its time");
    for candidate in site.due(1000).await {
        site.meta.collect(&candidate, at(1000)).await.unwrap();
    }
    assert!(!site.has_blob("p/a", "four").await);
    site.sound_rows().await;
    let again = delete_in_steps(&*site.meta, &a, 1, at(90), &act(40)).await.unwrap();
    assert_eq!(again, DeletedRepository::Absent);
}

async fn a_repository_is_deleted_in_bounded_steps(site: Site) {
    site.project("p").await;
    let a = repository("p/a");
    for n in 0..5 {
        site.push("p/a", &format!("m{n}"), &[&format!("t{n}")], 10).await;
    }
    let (mut from, mut steps, mut left) = (DeletedTo::Nothing, 0, 10);
    loop {
        let step = site.meta.delete_repository(&a, (&from, 2), at(90), act(20)).await.unwrap();
        let there = site.meta.repository(&a).await.unwrap().map_or(0, |is| is.tags + is.manifests);
        assert!(left - there <= 2, "{left} {there}");
        (left, steps) = (there, steps + 1);
        let DeletedRepository::More(to) = step else {
            assert_eq!(step, DeletedRepository::Done);
            break;
        };
        if matches!((&from, &to), (DeletedTo::Tag(_), DeletedTo::Manifest(_))) {
            site.push("p/a", "meanwhile", &["a"], 21).await;
            left += 2;
        }
        from = to;
    }
    assert!((5..=8).contains(&steps), "{steps}");
    let stays = site.meta.tags(&a, all()).await.unwrap().unwrap().items;
    assert_eq!((stays, left), (vec![tag("a")], 2), "what came meanwhile, with its tag");
    let told = site.events().await;
    let deletes = told.iter().filter(|event| matches!(event.what, What::RepositoryDeleted { .. })).count();
    assert_eq!(deletes, 1, "one event for all steps");
    site.sound_rows().await;
}

async fn a_tag_keeps_its_number_and_tells_its_last_push(site: Site) {
    site.project("p").await;
    let a = repository("p/a");
    let m = site.push("p/a", "m", &["t"], 10).await;
    let first = site.meta.shown_tags(&a, WHOLE).await.unwrap().unwrap();
    assert_eq!((first.total, first.items[0].digest, first.items[0].pushed), (1, m, at(10)));
    let n = site.push("p/a", "n", &["t", "b"], 20).await;
    let moved = site.meta.shown_tags(&a, WHOLE).await.unwrap().unwrap();
    assert_eq!(moved.items.iter().map(|tag| tag.name.to_string()).collect::<Vec<_>>(), ["b", "t"]);
    let t = &moved.items[1];
    assert_eq!((t.id, t.digest, t.pushed), (first.items[0].id, n, at(20)), "it moved");
    assert!(site.meta.tags_of(&a, &m, 9).await.unwrap().is_empty());
    assert_eq!(site.meta.tags_of(&a, &n, 1).await.unwrap(), moved.items[..1]);
    site.push("p/a", "n", &["t"], 30).await;
    assert_eq!(site.meta.tags_of(&a, &n, 9).await.unwrap()[1].pushed, at(30), "each push counts");
    let part = site.meta.shown_tags(&a, Slice { offset: 1, limit: 5 }).await.unwrap().unwrap();
    assert_eq!((part.items.len(), part.total), (1, 2));
}
