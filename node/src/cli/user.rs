//! `portolan user`.

use clap::{Args, Subcommand, ValueEnum};
use protocol::seam::Entropy as _;
use serde_json::{Value, json};

use super::Session;
use super::connection::Connection;
use super::exit::Exit;
use super::failure::Failure;
use super::login::Secret;
use super::secret;
use super::wire::{API, Column, number, one, segment, word};
use crate::world::RealEntropy;

const COLUMNS: [Column; 6] = [
    ("NAME", "/username"),
    ("EMAIL", "/email"),
    ("REAL NAME", "/realname"),
    ("ADMIN", "/sysadmin_flag"),
    ("ID", "/user_id"),
    ("CREATED", "/creation_time"),
];

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// What people are told about an account.
#[derive(Debug, Args)]
pub(super) struct About {
    /// Its address.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The name of the person.
    #[arg(long, value_name = "NAME")]
    real_name: Option<String>,
    /// Free text.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// The accounts.
    List,
    /// An account.
    Show {
        /// Its name.
        name: String,
    },
    /// Make an account.
    Create {
        /// Its name.
        name: String,
        #[command(flatten)]
        about: About,
        /// The password is the first line of stdin.
        #[arg(long)]
        password_stdin: bool,
        /// Make a password, and show it this once.
        #[arg(long, conflicts_with = "password_stdin")]
        generate: bool,
        /// An administrator.
        #[arg(long)]
        admin: bool,
    },
    /// Change what an account says about its owner.
    Edit {
        /// Its name.
        name: String,
        #[command(flatten)]
        about: About,
    },
    /// Change a password.
    Passwd {
        /// Whose; without it, one's own.
        name: Option<String>,
        /// The new password is the first line of stdin.
        #[arg(long)]
        password_stdin: bool,
        /// File with the old password, which one's own account wants.
        #[arg(long, value_name = "FILE")]
        old_password_file: Option<std::path::PathBuf>,
    },
    /// Make an account an administrator, or no longer one.
    Admin {
        /// Its name.
        name: String,
        /// Whether.
        switch: Switch,
    },
    /// Keep an account from logging in.
    Disable {
        /// Its name.
        name: String,
    },
    /// Let an account log in again.
    Enable {
        /// Its name.
        name: String,
    },
    /// Delete an account.
    Delete {
        /// Its name.
        name: String,
    },
    /// Who one is.
    Whoami,
}

impl User {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let node = session.connection()?;
        match self {
            Self::List => session.show_list(&COLUMNS, &node.list(&format!("{API}/users"))?),
            Self::Show { name } => session.show(&node.get::<Value>(&path(find(&node, name)?))?),
            Self::Create { name, about, password_stdin, generate, admin } => {
                let password = if *generate { generated() } else { secret::new(*password_stdin, name)? };
                create(&node, name, about, &password)?;
                if *admin {
                    set_admin(&node, find(&node, name)?, true)?;
                }
                let data =
                    if *generate { json!({ "name": name, "password": password }) } else { json!({ "name": name }) };
                let shown = if *generate { password.reveal() } else { name.as_str() };
                session.done(shown, &data)
            }
            Self::Edit { name, about } => {
                let path = path(find(&node, name)?);
                node.put(&path, &about.over(&node.get(&path)?))?;
                session.done(name, &json!({ "name": name }))
            }
            Self::Passwd { name, password_stdin, old_password_file } => {
                let me: Value;
                let (name, id) = match name {
                    Some(name) => (name.clone(), find(&node, name)?),
                    None => {
                        me = node.get(&format!("{API}/users/current"))?;
                        (word(&me, "/username"), number(&me, "/user_id")?)
                    }
                };
                let mut document = json!({ "new_password": secret::new(*password_stdin, &name)? });
                if let Some(file) = old_password_file {
                    document["old_password"] = json!(secret::from_file(file)?);
                }
                node.put(&format!("{}/password", path(id)), &document)?;
                session.done(&name, &json!({ "name": name }))
            }
            Self::Admin { name, switch } => {
                set_admin(&node, find(&node, name)?, *switch == Switch::On)?;
                session.done(name, &json!({ "name": name, "admin": *switch == Switch::On }))
            }
            Self::Disable { name } => {
                set_disabled(&node, find(&node, name)?, true)?;
                session.done(name, &json!({ "name": name, "disabled": true }))
            }
            Self::Enable { name } => {
                set_disabled(&node, find(&node, name)?, false)?;
                session.done(name, &json!({ "name": name, "disabled": false }))
            }
            Self::Delete { name } => {
                let id = find(&node, name)?;
                session.sure(&format!("Delete the user {name}?"))?;
                node.delete(&path(id))?;
                session.done(&format!("{name} is deleted"), &json!({ "deleted": name }))
            }
            Self::Whoami => session.show(&node.get::<Value>(&format!("{API}/users/current"))?),
        }
    }
}

impl About {
    /// The whole profile: the node takes it as one.
    fn over(&self, now: &Value) -> Value {
        let or = |new: &Option<String>, pointer: &str| new.clone().unwrap_or_else(|| word(now, pointer));
        json!({
            "email": or(&self.email, "/email"),
            "realname": or(&self.real_name, "/realname"),
            "comment": or(&self.comment, "/comment"),
        })
    }
}

fn create(node: &Connection, name: &str, about: &About, password: &Secret) -> Result<(), Failure> {
    // An account has both; whoever has no mail is given an address that leads nowhere.
    let none = json!({ "email": format!("{name}@localhost.invalid"), "realname": name });
    let mut document = about.over(&none);
    document["username"] = json!(name);
    document["password"] = json!(password);
    node.send(&format!("{API}/users"), &document)
}

/// A password that fulfils every rule: upper, lower, digit, 24 characters from 16 random bytes.
pub(super) fn generated() -> Secret {
    use base64::Engine;
    let mut bytes = [0_u8; 16];
    RealEntropy.fill(&mut bytes);
    Secret::from(format!("Aa1{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)))
}

/// The path of an account.
pub(super) fn path(id: i64) -> String {
    format!("{API}/users/{id}")
}

/// The number of an account.
///
/// # Errors
/// [`super::failure::Code::NotFound`].
pub(super) fn find(node: &Connection, name: &str) -> Result<i64, Failure> {
    let found = one(node, &format!("{API}/users?username={}", segment(name)), "/username", name, "user")?;
    number(&found, "/user_id")
}

/// Makes an account an administrator, or no longer one.
///
/// # Errors
/// [`Failure`].
pub(super) fn set_admin(node: &Connection, id: i64, admin: bool) -> Result<(), Failure> {
    node.put(&format!("{}/sysadmin", path(id)), &json!({ "sysadmin_flag": admin }))
}

/// Keeps an account from logging in, or no longer.
///
/// # Errors
/// [`Failure`].
pub(super) fn set_disabled(node: &Connection, id: i64, disabled: bool) -> Result<(), Failure> {
    node.put(&format!("{API}/mesh/users/{id}/disabled"), &json!({ "disabled": disabled }))
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::canned;
    use super::*;

    #[test]
    fn an_account_is_found_by_its_exact_name() {
        let users = r#"[{"username":"eve2","user_id":4},{"username":"eve","user_id":3}]"#;
        let (node, client) = canned(&[(200, users), (200, ""), (200, users)]);
        let id = find(&node, "eve").unwrap();
        set_disabled(&node, id, true).unwrap();
        assert_eq!(find(&node, "ev").unwrap_err().next.unwrap(), "portolan user list");
        let asked = client.asked.lock().unwrap().clone();
        assert_eq!(asked[0], "GET /api/v2.0/users?username=eve&page=1&page_size=100");
        assert_eq!(asked[1], r#"PUT /api/v2.0/mesh/users/3/disabled {"disabled":true}"#);
    }

    #[test]
    fn a_profile_keeps_what_is_not_named() {
        let about = About { email: Some("e@x.org".into()), real_name: None, comment: None };
        let now = json!({ "email": "old@x.org", "realname": "Eve", "comment": "c", "user_id": 3 });
        assert_eq!(about.over(&now), json!({ "email": "e@x.org", "realname": "Eve", "comment": "c" }));
    }

    #[test]
    fn a_made_password_fulfils_the_rules() {
        let made = generated();
        assert!(crate::auth::check_rules(&crate::auth::Secret::new(made.reveal())).is_ok());
        assert_ne!(made, generated());
    }
}
