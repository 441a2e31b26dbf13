//! Pictures on cards, as SVG for pages and as PNG for platforms that take nothing else.

use super::time::utc;
use crate::*;
use jiff::Timestamp;

/// A drawing in both forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Which.
    pub id: PictureId,
    /// What is to be seen, for who cannot see it.
    pub alt: String,
    /// A whole SVG document.
    pub svg: String,
    /// The same as PNG.
    pub png: Vec<u8>,
}

impl Ledger {
    /// Keeps it; the same id again changes nothing.
    pub async fn keep_picture(&self, picture: &Picture, now: Timestamp) -> Result<(), LedgerError> {
        sqlx::query(
            "/* picture.keep */ insert into picture (id, alt, svg, png, at) values ($1, $2, $3, $4, $5)
             on conflict (id) do nothing",
        )
        .bind(picture.id.0)
        .bind(&picture.alt)
        .bind(&picture.svg)
        .bind(&picture.png)
        .bind(utc(now))
        .execute(&self.pool)
        .await
        .map_err(sql("keep a picture"))?;
        Ok(())
    }

    /// None: there is none, or it has been pruned.
    pub async fn picture(&self, id: PictureId) -> Result<Option<Picture>, LedgerError> {
        let row: Option<(String, String, Vec<u8>)> =
            sqlx::query_as("select alt, svg, png from picture where id = $1")
                .bind(id.0)
                .fetch_optional(&self.pool)
                .await
                .map_err(sql("read a picture"))?;
        Ok(row.map(|(alt, svg, png)| Picture { id, alt, svg, png }))
    }
}
