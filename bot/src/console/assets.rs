//! The three files a browser loads, inside the binary, named by their content so that they can be cached for ever.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    path: String,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        ("console.css", "text/css; charset=utf-8", include_str!("console.css")),
        ("console.js", "text/javascript; charset=utf-8", include_str!("console.js")),
        ("petrel.svg", "image/svg+xml", include_str!("petrel.svg")),
    ]
    .map(|(name, kind, text)| {
        let hash = hex::encode(&Sha256::digest(text.as_bytes())[..8]);
        let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
        Asset { name, kind, text, path: format!("/static/{stem}.{hash}.{ending}") }
    })
});

/// Where a browser finds it.
pub fn path(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| asset.path.as_str())
}

/// `GET /static/{file}`.
pub async fn file(Path(file): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.path.strip_prefix("/static/") == Some(&file)) {
        Some(asset) => {
            let headers = [
                (header::CONTENT_TYPE, asset.kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, asset.text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests;
