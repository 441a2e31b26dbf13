//! Secrets of the config: from a file or from the environment, never in the config itself, never printed.

use secrecy::SecretString;
use std::path::{Path, PathBuf};

/// Reads `<key>_file` (relative to the config's folder) or `<key>_env`; None when neither is given. `table` is for the
/// message: `[slack]`. White space around the secret is dropped; an empty one is refused.
pub(crate) fn secret(
    table: &str,
    key: &str,
    file: Option<PathBuf>,
    variable: Option<String>,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<SecretString>, String> {
    let text = match (file, variable) {
        (None, None) => return Ok(None),
        (Some(file), None) => {
            let file = base.join(file);
            std::fs::read_to_string(&file)
                .map_err(|error| format!("{table}: cannot read {key}_file {}: {error}", file.display()))?
        }
        (None, Some(variable)) => env(&variable)
            .ok_or_else(|| format!("{table}: {key}_env {variable} is not set in the environment"))?,
        (Some(_), Some(_)) => return Err(format!("{table} has both {key}_file and {key}_env; keep one")),
    };
    match text.trim() {
        "" => Err(format!("{table}: {key} is empty")),
        text => Ok(Some(text.to_string().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn read(file: Option<&str>, variable: Option<&str>) -> Result<Option<String>, String> {
        let env = |name: &str| (name == "TOKEN").then(|| " x-1\n".to_string());
        let (file, variable) = (file.map(PathBuf::from), variable.map(String::from));
        let secret = secret("[slack]", "bot_token", file, variable, Path::new("/nowhere"), &env)?;
        Ok(secret.map(|secret| secret.expose_secret().to_string()))
    }

    #[test]
    fn a_secret_comes_from_one_place_and_what_is_wrong_is_named() {
        assert_eq!(read(None, Some("TOKEN")), Ok(Some("x-1".into())));
        assert_eq!(read(None, None), Ok(None));
        assert!(
            read(Some("a"), Some("TOKEN")).unwrap_err().contains("both bot_token_file and bot_token_env")
        );
        assert!(read(None, Some("OTHER")).unwrap_err().contains("bot_token_env OTHER is not set"));
        assert!(read(Some("a"), None).unwrap_err().contains("cannot read bot_token_file /nowhere/a"));
    }
}
