//! The people who are here.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Discovery, sql};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::UserId;
use crate::page::{Cursor, Page, Slice};
use crate::store::ReadTx;
use crate::users::Person;

/// People of whom it is found out at once whether they are shown.
const ROUND: u32 = 200;
/// How often a page looks further when people that it found are not to be shown.
const MAX_ROUNDS: u32 = 5;

/// The order of the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DirectoryOrder)]
pub enum Order {
    /// Who last wrote a public post first; who wrote none is left out.
    #[default]
    Active,
    /// Who came last first.
    New,
}

impl Discovery {
    /// The people who want to be found, without those whom the viewer follows already. When many of those found are not
    /// to be shown, the page is a short one, and the next begins where this ended.
    pub async fn directory(
        &self,
        viewer: UserId,
        order: Order,
        page: Page,
    ) -> Result<Slice<Person>> {
        let now = self.clock.now();
        self.store
            .read(move |tx| directory(tx, viewer, now, order, &page))
            .await
    }
}

fn directory(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
    order: Order,
    page: &Page,
) -> Result<Slice<Person>> {
    let mut below = page.below();
    let mut shown: Vec<(i64, Person)> = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let found = match order {
            Order::Active => sql::latest_writers(tx, below, ROUND)?,
            Order::New => sql::newest_people(tx, below, ROUND)?,
        };
        let Some((last, _)) = found.last() else {
            return Ok(cut(page, shown));
        };
        below = *last;
        let ids: Vec<UserId> = found.iter().map(|(_, id)| *id).collect();
        let people = sql::listable(tx, viewer, now, &ids)?;
        let mut people: HashMap<UserId, Person> =
            people.into_iter().map(|one| (one.id, one)).collect();
        let listable = |(place, id)| Some((place, people.remove(&id)?));
        shown.extend(found.into_iter().filter_map(listable));
        if shown.len() >= page.fetch() as usize {
            return Ok(cut(page, shown));
        }
    }
    Ok(Slice {
        items: shown,
        next: Some(Cursor::id(below)),
    }
    .map(|(_, person)| person))
}

fn cut(page: &Page, shown: Vec<(i64, Person)>) -> Slice<Person> {
    page.cut(shown, |(place, _)| Cursor::id(*place))
        .map(|(_, person)| person)
}
