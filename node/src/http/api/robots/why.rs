//! Why someone may or may not do something. No state.

use protocol::{ProjectName, RepositoryName};

use crate::auth::Action;
use crate::http::Response;
use crate::http::api::ask::{self, Ask};
use crate::http::api::error;
use crate::http::api::model::mesh::{Why, WhyStep};
use crate::http::error::Error;
use crate::policy::{Denied, On, Permission, Resource, Verb, permission_of, why};

/// What one has to hold in a project to ask about others there.
const MEMBERS: Permission = Permission::new(Resource::Member, Verb::Create);

pub(super) fn answer(ask: &Ask<'_>) -> Result<Response, Error> {
    let who = ask.logged_in()?;
    let query = ask.call.query()?;
    let needed = |name: &'static str| {
        let text = query.one(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| error::bad_request(format!("{name} in query is needed")))
    };
    let (action, image) = (needed("action")?, needed("image")?);
    let permission = permission(action)?;
    let place = Place::read(image)?;
    let name = query.one("principal")?.filter(|name| !name.is_empty());
    let (gate, is_own) = (ask.call.gate(), name.is_none_or(|name| *name == **who.name()));
    let is_above = gate.is_administrator(who) || gate.may(who, MEMBERS, On::Project(&place.project()));
    if !is_own && !is_above {
        return Err(ask::refused(ask.call, Denied::Forbidden));
    }
    let name = name.unwrap_or_else(|| who.name());
    let now = ask.call.registry().now();
    let on = place.on();
    let found = ask.call.registry().directory().read(|book| {
        let kind = if is_own { Some(who.kind()) } else { why::account(book, name) };
        why::explain(book, now, (name, kind), (permission, on), is_above)
    });
    let steps = found.steps.into_iter().map(|step| WhyStep { rule: step.rule.to_owned(), outcome: step.outcome });
    Ask::json(&Why {
        principal: name.to_owned(),
        action: action.to_owned(),
        image: image.to_owned(),
        allowed: found.allowed,
        steps: steps.collect(),
    })
}

fn permission(action: &str) -> Result<Permission, Error> {
    let of_words = || action.split_once(':').and_then(|(resource, verb)| Permission::from_words(resource, verb));
    let permission = Action::from_word(action).map(permission_of).or_else(of_words);
    permission
        .ok_or_else(|| error::bad_request("action is pull, push, delete, or a resource and an action with a colon"))
}

/// What an image names: a repository, or a project alone.
enum Place {
    Project(ProjectName),
    Repository(RepositoryName),
}

impl Place {
    fn read(image: &str) -> Result<Self, Error> {
        let bare = image.split_once('@').map_or(image, |(name, _)| name);
        // A colon before a slash would be a port: registries are named by nobody here.
        let bare = match bare.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            Some(_) | None => bare,
        };
        // What has a tag is an image, also where images have names of one part.
        let project = || bare.parse().ok().filter(|_| bare == image && !bare.contains('/')).map(Self::Project);
        let repository = || bare.parse().ok().map(Self::Repository);
        let place = project().or_else(repository);
        place
            .ok_or_else(|| error::bad_request("image is a project, or project/repository with perhaps :tag or @digest"))
    }

    const fn on(&self) -> On<'_> {
        match self {
            Self::Project(name) => On::Project(name),
            Self::Repository(name) => On::Repository(name),
        }
    }

    fn project(&self) -> ProjectName {
        match self {
            Self::Project(name) => name.clone(),
            Self::Repository(name) => name.project(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_as_people_name_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for image in ["shop/till/app", "shop/till/app:1.0", &format!("shop/till/app:1.0@{digest}")] {
            let place = Place::read(image).ok().unwrap();
            assert!(matches!(&place, Place::Repository(name) if name.as_str() == "shop/till/app"), "{image}");
            assert_eq!(place.project().as_str(), "shop");
        }
        assert!(matches!(Place::read("shop").ok().unwrap(), Place::Project(_)));
        assert!(matches!(Place::read("shop:1").ok().unwrap(), Place::Repository(_)));
        for bad in ["/", "", "Shop/App", "shop//app", "r.example:5000/shop/app"] {
            assert!(Place::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn actions_are_those_of_registry_clients_or_permissions() {
        assert_eq!(permission("push").ok(), Some(Permission::new(Resource::Repository, Verb::Push)));
        assert_eq!(permission("tag:create").ok(), Some(Permission::new(Resource::Tag, Verb::Create)));
        for bad in ["", "pushes", "tag:", "tag:fly", "*:*"] {
            assert!(permission(bad).is_err(), "{bad}");
        }
    }
}
