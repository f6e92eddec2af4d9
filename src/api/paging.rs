//! `cursor`, `page` and `limit`, as they come in an address.

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::page::{Cursor, DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET, Page};

/// Which part of a list.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Rows wanted, from 1; more than 100 count as 100.
    #[param(schema_with = from_one)]
    limit: Option<String>,
    /// `next_cursor` of the page before; empty or absent at the start.
    cursor: Option<String>,
    /// Instead of a cursor: the number of the page, from 1.
    #[param(schema_with = from_one)]
    page: Option<String>,
}

/// Where a numbered page stands among the others.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Numbering {
    /// The number of this page, from 1; null when a cursor was given, which knows no numbers.
    #[schema(required)]
    pub(super) current_page: Option<u64>,
    /// How many pages there are.
    pub(super) total_pages: u64,
    /// Whether another one follows.
    pub(super) has_more: bool,
}

impl PageQuery {
    /// The page, with the usual number of rows.
    pub(super) fn parse(&self) -> Result<Page> {
        self.parse_with(DEFAULT_LIMIT)
    }

    /// The page, with this number of rows when the client does not say. Lists that the original returned whole take
    /// [`MAX_LIMIT`].
    pub(super) fn parse_with(&self, default_limit: u32) -> Result<Page> {
        let limit = number("limit", self.limit.as_deref())?.unwrap_or(u64::from(default_limit));
        let limit = u32::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT);
        let after = self
            .cursor
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(Cursor::decode)
            .transpose()?;
        let page = number("page", self.page.as_deref())?.unwrap_or(1);
        let offset = (page - 1).saturating_mul(u64::from(limit));
        if offset > u64::from(MAX_OFFSET) {
            return Err(Error::new(Code::InvalidQuery)
                .with_message("Pages are numbered only so far: please use the cursor."));
        }
        let offset = if after.is_some() {
            0
        } else {
            u32::try_from(offset).unwrap_or(MAX_OFFSET)
        };
        Ok(Page {
            limit,
            after,
            offset,
        })
    }
}

impl PageQuery {
    /// The page of a list that has no numbered pages.
    pub(super) fn parse_unnumbered(&self, default_limit: u32) -> Result<Page> {
        let page = self.parse_with(default_limit)?;
        if page.offset > 0 {
            let message = "This list has no numbered pages: please use the cursor.";
            return Err(Error::new(Code::InvalidQuery).with_message(message));
        }
        Ok(page)
    }
}

impl Numbering {
    /// Where `page` stands in a list of `total` rows.
    pub(super) fn of(page: &Page, total: u64, has_more: bool) -> Self {
        Self {
            current_page: page
                .after
                .is_none()
                .then(|| u64::from(page.offset / page.limit) + 1),
            total_pages: total.div_ceil(u64::from(page.limit)),
            has_more,
        }
    }
}

/// A whole number from 1, however large: what is more than there is counts as all.
pub(super) fn from_one() -> utoipa::openapi::schema::Object {
    utoipa::openapi::schema::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::Integer)
        .minimum(Some(1))
        .build()
}

/// A whole number from 0, however large.
pub(super) fn from_zero() -> utoipa::openapi::schema::Object {
    utoipa::openapi::schema::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::Integer)
        .minimum(Some(0))
        .build()
}

/// The same, or null.
pub(super) fn from_zero_or_null() -> utoipa::openapi::schema::Object {
    use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .minimum(Some(0))
        .build()
}

fn number(name: &str, text: Option<&str>) -> Result<Option<u64>> {
    let Some(text) = text else { return Ok(None) };
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // Digits alone fail to parse only when there are too many.
    match (is_number, text.parse().unwrap_or(u64::MAX)) {
        (true, number) if number > 0 => Ok(Some(number)),
        _ => Err(Error::new(Code::InvalidQuery)
            .with_message(format!("{name} must be a whole number from 1."))),
    }
}
