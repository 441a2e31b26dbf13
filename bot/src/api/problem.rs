//! What went wrong, for a script and for the person who reads its log: RFC 9457.

use crate::{card::Card, draw};
use axum::{
    extract::rejection::{JsonRejection, QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use ledger::{LedgerError, Refusal};
use serde::Serialize;
use utoipa::ToSchema;

/// An error, as `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of thing it is.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// The refusal as the ledger says it, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub refusal: Option<Refusal>,
}

impl Problem {
    /// Any.
    pub fn new(status: StatusCode, title: &str, detail: &str) -> Problem {
        Problem { title: title.into(), status: status.as_u16(), detail: detail.into(), refusal: None }
    }

    /// 400.
    pub fn bad(detail: &str) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "This makes no sense", detail)
    }

    /// A card that says what is wrong.
    pub fn card(status: StatusCode, card: &Card) -> Problem {
        let parts =
            [card.text.as_deref(), card.code.as_ref().map(|code| code.text.as_str()), card.footer.as_deref()];
        let detail = parts.into_iter().flatten().collect::<Vec<_>>().join("\n");
        Problem::new(status, &card.title, &detail)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let status = match refusal {
            Refusal::NoSuchRequest => StatusCode::NOT_FOUND,
            Refusal::TooLate { .. } | Refusal::VotedAlready | Refusal::PlanChanged => StatusCode::CONFLICT,
            Refusal::OwnRequest
            | Refusal::NotEntitled { .. }
            | Refusal::TypeCluster { .. }
            | Refusal::Policy { .. } => StatusCode::FORBIDDEN,
        };
        let title = draw::refusal(&refusal).title;
        Problem { refusal: Some(refusal.clone()), ..Problem::new(status, &title, &refusal.to_string()) }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Problem {
        tracing::warn!(%error, "could not answer an API call");
        let detail = match error.is_passing() {
            true => "The database does not answer now. Send the same Idempotency-Key again.",
            false => "The database did not take this; the log of petrel says more. Nothing was done.",
        };
        let status = if error.is_passing() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Problem::new(status, "The record is not at hand", detail)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Problem {
        Problem::new(rejection.status(), "The body is not right", &rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Problem {
        Problem::new(rejection.status(), "The query is not right", &rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}
