//! Who may do what: tokens, and roles as RBAC would judge them.

use crate::failure::Failure;
use crate::resource::Resource;
use std::collections::HashMap;
use std::sync::Mutex;

/// Somebody with a token.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub name: String,
    /// None: everything.
    allow: Option<Vec<(String, Vec<String>)>>,
}

/// All tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<HashMap<String, User>>);

impl Tokens {
    pub fn add_admin(&self, token: &str) {
        self.add(token, User { name: "kubernetes-admin".into(), allow: None });
    }
    /// A new token for user `limited`.
    pub fn add_limited(&self, allow: &[(&str, &[&str])]) -> String {
        let token = new_token();
        let allow = allow
            .iter()
            .map(|(resource, verbs)| {
                ((*resource).to_owned(), verbs.iter().map(|verb| (*verb).to_owned()).collect())
            })
            .collect();
        self.add(&token, User { name: "limited".into(), allow: Some(allow) });
        token
    }
    pub fn user(&self, authorization: Option<&str>) -> Result<User, Failure> {
        let token = authorization
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(Failure::unauthorized)?;
        self.0
            .lock()
            .expect("no panic while holding it")
            .get(token.trim())
            .cloned()
            .ok_or_else(Failure::unauthorized)
    }
    fn add(&self, token: &str, user: User) {
        self.0.lock().expect("no panic while holding it").insert(token.to_owned(), user);
    }
}

pub(crate) fn new_token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

impl User {
    /// `subresource`: empty for the object itself.
    pub fn may(&self, verb: &str, group: &str, plural: &str, subresource: &str) -> bool {
        let Some(allow) = &self.allow else { return true };
        let plain =
            if subresource.is_empty() { plural.to_owned() } else { format!("{plural}/{subresource}") };
        let full = if group.is_empty() {
            plain.clone()
        } else {
            format!(
                "{plural}.{group}{}",
                if subresource.is_empty() { String::new() } else { format!("/{subresource}") }
            )
        };
        allow.iter().any(|(resource, verbs)| {
            (resource == "*" || *resource == plain || *resource == full)
                && verbs.iter().any(|may| may == "*" || may == verb)
        })
    }

    /// The refusal that RBAC words.
    pub fn check(
        &self,
        verb: &str,
        resource: &Resource,
        subresource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(), Failure> {
        if self.may(verb, &resource.group, &resource.plural, subresource) {
            return Ok(());
        }
        let what = if subresource.is_empty() {
            resource.plural.clone()
        } else {
            format!("{}/{subresource}", resource.plural)
        };
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        let why = format!(
            "User \"{}\" cannot {verb} resource \"{what}\" in API group \"{}\" {place}",
            self.name, resource.group
        );
        Err(Failure::forbidden(resource, name, &why))
    }
}
