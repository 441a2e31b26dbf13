//! What Slack's error codes mean for whoever runs Petrel: what to do about it.

use std::time::Duration;

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Too much at once: not before this is over.
    Limited(Duration),
    /// Slack said no; nothing has happened.
    Refused {
        /// Slack's code: `not_in_channel`.
        code: String,
        /// A scope that Slack says is missing.
        needed: Option<String>,
    },
    /// No answer, or none that says: it may have happened.
    Unclear(String),
}

impl Failure {
    /// Slack's code, if it gave one.
    pub fn code(&self) -> &str {
        match self {
            Failure::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// The app cannot speak there.
    pub fn is_out_of_reach(&self) -> bool {
        matches!(self.code(), "not_in_channel" | "channel_not_found" | "user_not_in_channel")
    }

    /// The message is there no more, or may not be changed any more.
    pub fn is_beyond_edit(&self) -> bool {
        matches!(
            self.code(),
            "message_not_found" | "cant_update_message" | "edit_window_closed" | "is_inactive"
        )
    }

    /// Slack takes the message, but not drawn so.
    pub fn is_about_blocks(&self) -> bool {
        matches!(
            self.code(),
            "invalid_blocks" | "invalid_blocks_format" | "msg_blocks_too_long" | "invalid_attachments"
        )
    }

    /// The token is good for nothing; no call will do better.
    pub fn is_about_token(&self) -> bool {
        let codes = [
            "invalid_auth",
            "not_authed",
            "account_inactive",
            "token_revoked",
            "token_expired",
            "org_login_required",
        ];
        codes.contains(&self.code())
    }

    /// In plain words, for the log and the delivery's row.
    pub fn words(&self, what: &str) -> String {
        let code = match self {
            Failure::Limited(wait) => {
                return format!("{what}: Slack asks for {} s of rest", wait.as_secs());
            }
            Failure::Unclear(why) => return format!("{what}: {why}"),
            Failure::Refused { code, .. } => code.as_str(),
        };
        let mend = match code {
            "not_in_channel" | "channel_not_found" | "user_not_in_channel" => {
                "Petrel's app is not in the channel; type `/invite @petrel` there".to_string()
            }
            "is_archived" => "the channel is archived; unarchive it, or take the room out of the config".into(),
            _ if self.is_about_token() => {
                "Slack does not accept the bot token; install the app again, put its token in place and restart".into()
            }
            "missing_scope" | "no_permission" | "not_allowed_token_type" => {
                let needed = match self {
                    Failure::Refused { needed: Some(needed), .. } => format!(" ({needed})"),
                    _ => String::new(),
                };
                format!("the app lacks a permission{needed}; compare its scopes with deploy/slack/manifest.yaml and install it again")
            }
            "restricted_action" | "restricted_action_read_only_channel" | "restricted_action_thread_only_channel" => {
                "the workspace does not let apps post there; an administrator can".into()
            }
            "user_not_found" | "user_disabled" | "cannot_dm_bot" | "user_not_visible" => "the person cannot be written to".into(),
            _ => "see https://docs.slack.dev/reference/methods for this code".into(),
        };
        format!("{what}: Slack says {code}: {mend}")
    }
}
