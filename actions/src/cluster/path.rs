//! Paths of objects on an API server. Whatever people typed is checked as a DNS name (RFC 1123) before it gets here, and
//! nothing else gets in (G12); what goes into a query string is percent-encoded.

use super::{ClusterError, kind::Served};

/// A DNS label: at most 63 of `a-z`, `0-9`, `-`; begins and ends with a letter or digit.
pub fn is_dns_label(text: &str) -> bool {
    let edge =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// A DNS subdomain: labels joined by dots, at most 253 in all.
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// Where a collection or one of its objects is: `/apis/apps/v1/namespaces/shop/deployments/checkout`.
pub fn path(
    api_version: &str,
    served: &Served,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<String, ClusterError> {
    let mut path = group_path(api_version)?;
    match namespace {
        Some(namespace) if served.namespaced => {
            if !is_dns_label(namespace) {
                return Err(not_a_name("namespace", namespace));
            }
            path.push_str("/namespaces/");
            path.push_str(namespace);
        }
        None if served.namespaced && name.is_some() => {
            return Err(ClusterError::Invalid {
                message: format!("{} live in a namespace; say which with -n", served.plural),
            });
        }
        _ => {}
    }
    path.push('/');
    path.push_str(&served.plural);
    if let Some(name) = name {
        if !is_dns_subdomain(name) {
            return Err(not_a_name("name", name));
        }
        path.push('/');
        path.push_str(name);
    }
    Ok(path)
}

/// `/api/v1` or `/apis/apps/v1`.
pub fn group_path(api_version: &str) -> Result<String, ClusterError> {
    match api_version.split_once('/') {
        None if is_dns_label(api_version) => Ok(format!("/api/{api_version}")),
        Some((group, version)) if is_dns_subdomain(group) && is_dns_label(version) => {
            Ok(format!("/apis/{group}/{version}"))
        }
        _ => Err(not_a_name("apiVersion", api_version)),
    }
}

fn not_a_name(what: &str, text: &str) -> ClusterError {
    let shown: String = text.chars().take(80).collect();
    ClusterError::Invalid {
        message: format!(
            "'{}' is not a valid {what}: use a-z, 0-9, '-' and, in names, '.'",
            shown.escape_debug()
        ),
    }
}

/// `?limit=500&labelSelector=app%3Dcheckout`, or nothing.
pub fn query(pairs: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    text.push(byte as char)
                }
                _ => text.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deployments() -> Served {
        Served { plural: "deployments".into(), namespaced: true }
    }

    #[test]
    fn paths_are_those_of_the_api_server() {
        assert_eq!(
            path("apps/v1", &deployments(), Some("shop"), Some("checkout")).unwrap(),
            "/apis/apps/v1/namespaces/shop/deployments/checkout"
        );
        assert_eq!(path("apps/v1", &deployments(), None, None).unwrap(), "/apis/apps/v1/deployments");
        let nodes = Served { plural: "nodes".into(), namespaced: false };
        assert_eq!(path("v1", &nodes, Some("ignored"), Some("node-1")).unwrap(), "/api/v1/nodes/node-1");
    }

    #[test]
    fn a_name_that_would_leave_its_place_is_refused() {
        for name in
            ["../secrets/x", "a/b", "a%2fb", "", ".", "..", "A", "a b", "-a", "a?x=1", "a#b", "é", "a..b"]
        {
            assert!(path("apps/v1", &deployments(), Some("shop"), Some(name)).is_err(), "{name}");
            assert!(path("apps/v1", &deployments(), Some(name), None).is_err(), "{name}");
        }
        assert!(path("apps/v1", &deployments(), Some("a.b"), None).is_err(), "a namespace is one label");
        assert!(path("apps/v1/../v1", &deployments(), Some("a"), None).is_err());
    }

    #[test]
    fn a_query_value_cannot_add_another_parameter() {
        assert_eq!(
            query(&[("labelSelector", "app=a&dryRun=All#é".into()), ("limit", "5".into())]),
            "?labelSelector=app%3Da%26dryRun%3DAll%23%C3%A9&limit=5"
        );
        assert_eq!(query(&[]), "");
    }

    proptest! {
        #[test]
        fn whatever_is_typed_the_path_has_its_five_parts(name in any::<String>(), namespace in any::<String>()) {
            if let Ok(path) = path("v1", &Served { plural: "pods".into(), namespaced: true }, Some(&namespace), Some(&name)) {
                prop_assert_eq!(path.split('/').count(), 7);
                prop_assert!(path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-.".contains(&byte)));
            }
        }
    }
}
